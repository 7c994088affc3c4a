//! From the residual stream to classes.

use super::images::Image;
use super::params::{HeadParams, PatchifyParams, PoolNormParams, TopParams};
use super::{Kernel, Launch};
use crate::ops::Patchify;
