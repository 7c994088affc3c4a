//! What clients are told of a model and its sources.

use super::feed::Feed;
use super::model::Model;
use crate::model;
use crate::wire::{Hello, PROTOCOL, ScheduleInfo, SourceInfo};
use mergevit_runtime::inspect::Plan;
use mergevit_runtime::{ModelConfig, Schedule};

/// The hello of a model that runs on these sources.
pub(crate) fn hello(model: &Model, sources: &[SourceInfo]) -> Hello {
    let pack = model.engine.pack();
    let config = pack.config();
    let side = config.side();
    let path = pack.path().map(|path| path.to_string_lossy());
    let schedules = pack.schedules().iter();
    let cascades = pack.cascades().iter();
    Hello {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        model: path.unwrap_or_default().into_owned(),
        labels: model.labels.clone(),
        image_size: config.image_size,
        grid: [side, side],
        schedules: schedules.map(|own| info(config, own)).collect(),
        cascades: cascades.map(|cascade| cascade.name.clone()).collect(),
        sources: sources.to_vec(),
        schedule: model::chosen(&model.engine).to_owned(),
        held: false,
    }
}

/// What clients are told of sources.
pub(crate) fn sources(feeds: &[Feed]) -> Vec<SourceInfo> {
    let info = |feed: &Feed| SourceInfo {
        name: feed.name.clone(),
        description: feed.description().to_owned(),
    };
    feeds.iter().map(info).collect()
}

fn info(config: &ModelConfig, schedule: &Schedule) -> ScheduleInfo {
    let plan = Plan::new(config, schedule, 1).expect("a valid pack plans single images");
    let accuracy = schedule.accuracy.as_ref();
    let merging = schedule.merging.as_ref();
    ScheduleInfo {
        name: schedule.name.clone(),
        gmacs: plan.cost().macs as f64 / 1e9,
        tokens: plan.tokens().last().map_or(0, |&tokens| tokens.into()),
        agreement: accuracy
            .map(|accuracy| accuracy.agreement)
            .or_else(|| merging.and_then(|merging| merging.agreement)),
        accuracy: accuracy.map(|accuracy| accuracy.top1),
    }
}
