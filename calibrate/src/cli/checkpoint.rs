//! Options that say what a checkpoint's files leave open.

use super::preprocessing::PreprocessingArgs;
use crate::checkpoint::Stated;
use clap::Args;

/// How to read a checkpoint.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct CheckpointArgs {
    /// Which weights of a file that holds several sets: state_dict, state_dict_ema, teacher.backbone, ...
    #[arg(long, value_name = "NAME", requires = "checkpoint")]
    weights_key: Option<String>,
    #[command(flatten)]
    preprocessing: PreprocessingArgs,
}

impl CheckpointArgs {
    /// What was stated.
    pub(super) fn stated(&self) -> Stated {
        Stated {
            weights_key: self.weights_key.clone(),
            ..self.preprocessing.stated()
        }
    }
}
