//! Timing the launches of a plan on the device, without the processor's part.

use super::super::executor::{DeviceTimes, Executor, Job, LaunchTimes, Timer};
use super::Accelerator;
use crate::plan::Step;
use mergevit_kernels::cuda::{self, DeviceError, Launch};
use std::time::Duration;

/// Most runs of each prefix: they are many, and the medians of few runs differ little.
const PREFIX_RUNS: u32 = 9;

const fn microseconds(time: Duration) -> f64 {
    1e6 * time.as_secs_f64()
}

impl Accelerator {
    /// Times every launch by itself and in its place, and the whole network.
    pub(super) fn time_launches(
        &mut self,
        job: &Job<'_>,
        repeats: u32,
        timer: &mut Timer<'_>,
    ) -> Result<DeviceTimes, DeviceError> {
        self.run(job)?;
        self.lower_network(job);
        let network = self.launches();
        let whole = self.device.time_after(&network, &network, repeats)?;
        let idle = vec![cuda::nothing(); network.len()];
        let gap = self.device.time(&idle, repeats)? / idle.len().max(1) as u32;
        let in_place = self.prefixes(&network, repeats.min(PREFIX_RUNS))?;
        let mut in_place = in_place.into_iter();
        for step in job.plan.steps() {
            // A launch that adds to the residual stream does so every time: start from values of a real run.
            self.run(job)?;
            self.lower_step(job, step);
            // What comes before the network has no place in it.
            let part_of_network = !matches!(step, Step::Patchify(_));
            for lowered in &self.lowered {
                let launch = std::slice::from_ref(&lowered.launch);
                let times = LaunchTimes {
                    alone_us: microseconds(self.device.time(launch, repeats)?),
                    in_place_us: match part_of_network {
                        true => in_place.next(),
                        false => None,
                    },
                };
                timer(lowered, times);
            }
        }
        Ok(DeviceTimes {
            network_us: microseconds(whole),
            launch_us: microseconds(gap),
        })
    }

    /// What each launch adds to those before it, in microseconds: the difference of two medians, which may even be negative.
    /// The network has just run, so a launch finds in caches what it finds there in use.
    fn prefixes(&mut self, network: &[Launch], runs: u32) -> Result<Vec<f64>, DeviceError> {
        let mut before = 0.0;
        let mut added = Vec::with_capacity(network.len());
        for end in 1..=network.len() {
            let time = self.device.time_after(network, &network[..end], runs)?;
            added.push(microseconds(time) - before);
            before = microseconds(time);
        }
        Ok(added)
    }
}
