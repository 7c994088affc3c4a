//! Accuracy, agreement, noise, calibration and cost, schedule by schedule.

use super::super::markup::escape;
use super::super::results::{CascadeReport, Report, ScheduleReport};
use super::parts::{Section, decibels, percent, table, with_interval};
use mergevit_runtime::Ranking;
use mergevit_runtime::words::Count;

/// A column: its head, and its cell of a row, if the row has one.
type Column<'a> = (&'a str, fn(&Row<'a>) -> Option<String>);

/// What the columns show.
enum Row<'a> {
    Full(&'a Report),
    Schedule(&'a Report, &'a ScheduleReport),
    Cascade(&'a Report, &'a CascadeReport),
}

impl<'a> Row<'a> {
    fn name(&self) -> String {
        match self {
            Self::Full(_) => "FP32<small>without merging</small>".into(),
            Self::Schedule(report, own) => {
                let what = match (own.merge.iter().min(), own.merge.iter().max()) {
                    (_, None | Some(0)) => Count(report.network.tokens as u64, "token").to_string(),
                    (Some(least), Some(most)) if least == most => format!("merges {most} a layer"),
                    (least, Some(most)) => {
                        format!("merges {} to {most} a layer", least.unwrap_or(&0))
                    }
                };
                let ranking = match own.ranking {
                    Ranking::Similarity => "",
                    Ranking::ClassAttention => "<br>by class attention",
                };
                let what = what + ranking;
                format!("{}<small>{what}</small>", escape(&own.name))
            }
            Self::Cascade(_, own) => format!(
                "{}<small>{}, then {}</small>",
                escape(&own.name),
                escape(&own.first),
                escape(&own.then)
            ),
        }
    }

    fn top1(&self) -> Option<String> {
        let (report, top1) = match self {
            Self::Full(report) => (report, report.top1_fp32),
            Self::Schedule(report, own) => (report, own.top1),
            Self::Cascade(report, own) => (report, own.top1),
        };
        top1.map(|_| with_interval(top1, report.labelled))
    }

    fn top5(&self) -> Option<String> {
        let (report, top5) = match self {
            Self::Full(report) => (report, report.top5_fp32),
            Self::Schedule(report, own) => (report, own.top5),
            Self::Cascade(..) => return None,
        };
        // Among five classes or fewer, every answer counts as found.
        top5.filter(|_| report.network.classes > 5)
            .map(|_| with_interval(top5, report.labelled))
    }

    fn agreement(&self) -> Option<String> {
        let (report, agreement) = match self {
            Self::Full(_) => return None,
            Self::Schedule(report, own) => (report, own.agreement),
            Self::Cascade(report, own) => (report, own.agreement),
        };
        agreement.map(|_| with_interval(agreement, report.images))
    }

    fn noise(&self) -> Option<String> {
        let db = match self {
            Self::Full(_) => None,
            Self::Schedule(_, own) => own.signal_to_noise_db,
            Self::Cascade(_, own) => own.signal_to_noise_db,
        };
        db.map(|_| decibels(db))
    }

    fn cosine(&self) -> Option<String> {
        match self {
            Self::Schedule(_, own) => {
                let (mean, least) = (own.cosine?, own.cosine_least?);
                Some(format!("{mean:.5}<small>least {least:.5}</small>"))
            }
            _ => None,
        }
    }

    fn calibration(&self) -> Option<String> {
        match self {
            Self::Schedule(_, own) => {
                let fitted = own.ece_uncalibrated.zip(own.temperature);
                let before = fitted.map(|(ece, temperature)| {
                    format!(
                        "<small>{:.2} without<br>T = {temperature:.2}</small>",
                        100.0 * ece
                    )
                });
                own.ece?;
                Some(percent(own.ece) + &before.unwrap_or_default())
            }
            _ => None,
        }
    }

    fn merging(&self) -> Option<String> {
        match self {
            Self::Schedule(_, own) => {
                let merging = own.merging.as_ref()?;
                let db = decibels(merging.signal_to_noise_db);
                Some(match merging.agreement {
                    None => format!("{db} dB"),
                    agreement => format!("{} %<small>{db} dB</small>", percent(agreement)),
                })
            }
            _ => None,
        }
    }

    fn second_runs(&self) -> Option<String> {
        match self {
            Self::Cascade(_, own) => {
                own.second_runs?;
                let kept = own.agreement_then.map(|kept| {
                    format!(
                        "<small>{:.2} as {}<br>{:.2} wanted</small>",
                        100.0 * kept,
                        escape(&own.then),
                        100.0 * own.wanted_agreement
                    )
                });
                Some(percent(own.second_runs) + &kept.unwrap_or_default())
            }
            _ => None,
        }
    }

    fn cost(&self) -> Option<String> {
        let (report, gmac) = match self {
            Self::Full(_) => return None,
            Self::Schedule(report, own) => (report, own.gmac),
            Self::Cascade(report, own) => (report, own.gmac),
        };
        let full = report.schedules.iter().find(|own| own.merged == 0);
        let share = full
            .filter(|own| own.gmac > gmac)
            .map(|own| 100.0 * gmac / own.gmac);
        let share = share.map(|share| format!("<small>{share:.0} %</small>"));
        Some(format!("{gmac:.3}{}", share.unwrap_or_default()))
    }
}

fn columns<'a>() -> [Column<'a>; 9] {
    [
        ("top-1, %", Row::top1),
        ("top-5, %", Row::top5),
        ("agreement<br>with FP32, %", Row::agreement),
        ("cosine<br>with FP32", Row::cosine),
        ("signal to<br>noise, dB", Row::noise),
        ("calibration<br>error, %", Row::calibration),
        ("merging<br>in FP32", Row::merging),
        ("second<br>runs, %", Row::second_runs),
        ("GMAC<br>an image", Row::cost),
    ]
}

pub(super) fn section(report: &Report) -> Section {
    let full = report.top1_fp32.map(|_| Row::Full(report));
    let schedules = report
        .schedules
        .iter()
        .map(|own| Row::Schedule(report, own));
    let cascades = report.cascades.iter().map(|own| Row::Cascade(report, own));
    let rows: Vec<Row<'_>> = full.into_iter().chain(schedules).chain(cascades).collect();
    // Columns of which no row has anything are left out.
    let columns: Vec<_> = columns()
        .into_iter()
        .filter(|(_, cell)| rows.iter().any(|row| cell(row).is_some()))
        .collect();
    let heads: Vec<&str> = std::iter::once("")
        .chain(columns.iter().map(|&(head, _)| head))
        .collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let cells = columns
                .iter()
                .map(|(_, cell)| cell(row).unwrap_or_else(|| "–".into()));
            std::iter::once(row.name()).chain(cells).collect()
        })
        .collect();
    let mut body = table(&heads, &cells);
    let merging = report.schedules.iter().any(|own| own.merging.is_some());
    let merging = match merging {
        true => {
            " Merging in FP32: the agreement that merging alone leaves, and its noise, before any rounding."
        }
        false => "",
    };
    body.push_str(&format!(
        "<p class=\"note\">{}. Small numbers below fractions are 95 % intervals (Wilson). FP32 merges nothing.{merging}</p>\n",
        escape(&over(report)),
    ));
    Section {
        id: "results",
        title: "Results",
        body,
    }
}

/// What the numbers are of.
fn over(report: &Report) -> String {
    let images = report.count();
    match report.labelled {
        0 => format!("{images} of {}, without labels", report.dataset),
        labelled if labelled == report.images => {
            format!("{images} of {}, all labelled", report.dataset)
        }
        labelled => format!(
            "{images} of {}, {labelled} of them labelled",
            report.dataset
        ),
    }
}
