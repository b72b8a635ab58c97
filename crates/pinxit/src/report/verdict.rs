//! What the figures of a run amount to, in sentences.

use super::html::{count, duration, number};
use super::{Gallery, Story};
use crate::run::Event;

/// How a sentence should be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Plain,
    Warning,
}

/// The sentences under the title.
pub(super) fn sentences(story: &Story<'_>) -> Vec<(Tone, String)> {
    let mut all = vec![progress(story)];
    let losses: Vec<f64> =
        story.measures.iter().filter_map(|line| line.values.get("loss").copied()).collect();
    all.extend(trend(&losses));
    match story.events.iter().filter(|event| event.event == "rollback").count() {
        0 => {}
        1 => all.push((
            Tone::Warning,
            "1 rollback: the loss broke once and the run went on from a good checkpoint at a lower rate"
                .into(),
        )),
        n => {
            all.push((Tone::Warning, format!("{n} rollbacks: try a lower learning rate or a longer warm-up")))
        }
    }
    all.extend(alarms(&story.events));
    all.extend(story.verdict.iter().map(|verdict| (Tone::Plain, format!("The verdict: {verdict}"))));
    all.extend(story.gallery.and_then(copying));
    all
}

/// Each alarm that rang, in the order of its last time, with how often.
fn alarms(events: &[Event]) -> Vec<(Tone, String)> {
    let name = |event: &Event| event.message.split(':').next().unwrap_or_default().to_string();
    let rang: Vec<&Event> = events.iter().filter(|event| event.event == "alarm").collect();
    let mut last: Vec<&Event> = Vec::new();
    for event in rang.iter().rev() {
        if !last.iter().any(|other| name(other) == name(event)) {
            last.push(event);
        }
    }
    let sentence = |event: &&Event| {
        let times = rang.iter().filter(|other| name(other) == name(event)).count();
        let at = match times {
            1 => format!("at step {}", count(event.step.into())),
            n => format!("{n} times, last at step {}", count(event.step.into())),
        };
        (Tone::Warning, format!("Alarm {at}: {}", event.message))
    };
    last.iter().rev().map(sentence).collect()
}

fn progress(story: &Story<'_>) -> (Tone, String) {
    let seconds = story.measures.last().map_or(0.0, |line| line.seconds);
    let (saved, steps) = (count(story.saved.into()), count(story.steps().into()));
    match story.is_finished() {
        true => (Tone::Good, format!("Finished: {steps} steps in {}", duration(seconds))),
        false => (Tone::Plain, format!("Stopped at step {saved} of {steps}, after {}", duration(seconds))),
    }
}

/// Whether the loss still falls at the end, beyond what its noise explains.
fn trend(losses: &[f64]) -> Option<(Tone, String)> {
    let losses: Vec<f64> = losses.iter().copied().filter(|loss| loss.is_finite()).collect();
    let fifth = losses.len() / 5;
    if fifth < 4 {
        return None;
    }
    let (first, _) = mean_and_error(&losses[..fifth]);
    let (before, before_error) = mean_and_error(&losses[losses.len() - 2 * fifth..losses.len() - fifth]);
    let (last, last_error) = mean_and_error(&losses[losses.len() - fifth..]);
    let noise = (before_error.powi(2) + last_error.powi(2)).sqrt();
    let course = format!("the loss went from {} to {}", number(first), number(last));
    Some(match before - last {
        fall if fall > 2.0 * noise => {
            (Tone::Plain, format!("{course} and still falls: more steps would help"))
        }
        fall if fall < -2.0 * noise => (Tone::Warning, format!("{course} and rises at the end")),
        _ => (Tone::Plain, format!("{course} and is level at the end")),
    })
}

/// Mean, and standard error of the mean.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

/// Whether the samples lie nearer to training pictures than real pictures do that were kept away
/// from training. A model that paints copies is at distances near 0.
fn copying(gallery: &Gallery) -> Option<(Tone, String)> {
    let near = gallery.samples_nearer_than_real(SHARE)?;
    Some(nearness(near, gallery.samples.len()))
}

/// The share of real held-out pictures that sets the distance at which a sample counts as near.
const SHARE: f64 = 0.05;

/// What it means that `near` of `total` samples are near a training picture. By chance it would be
/// a binomial number; three standard deviations above its mean are no longer chance.
fn nearness(near: usize, total: usize) -> (Tone, String) {
    let expected = SHARE * total as f64;
    let by_chance = expected + 3.0 * (expected * (1.0 - SHARE)).sqrt();
    let (tone, meaning) = if 2 * near > total {
        (Tone::Warning, "it may be copying; look at the pairs below")
    } else if near as f64 > by_chance {
        (Tone::Plain, "closer than new pictures are; the pairs below show how close")
    } else {
        (Tone::Good, "no sign of copying")
    };
    let sentence = format!(
        "{near} of {total} samples lie nearer to a training picture than 95 % of the held-out pictures do \
         ({expected:.0} would by chance): {meaning}"
    );
    (tone, sentence)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_told_from_noise() {
        let noise = |i: u32| if i.is_multiple_of(2) { 0.1 } else { -0.1 };
        let of = |loss: fn(f64) -> f64| -> String {
            let losses: Vec<f64> = (0..200).map(|i| loss(f64::from(i) / 200.0) + noise(i)).collect();
            trend(&losses).unwrap().1
        };
        assert!(of(|t| 3.0 - 2.0 * t).contains("still falls"));
        assert!(of(|t| 1.0 + (-20.0 * t).exp()).contains("is level"));
        assert!(of(|t| 1.0 + (t - 0.5).powi(2)).contains("rises"));
        assert_eq!(trend(&[1.0; 10]), None);
    }

    #[test]
    fn an_alarm_is_told_once_with_its_advice() {
        let event =
            |step, event: &str, message: &str| Event { step, event: event.into(), message: message.into() };
        let told = alarms(&[
            event(100, "alarm", "blur: samples are 40 % as sharp; more channels"),
            event(200, "resume", "going on"),
            event(300, "alarm", "copying: 80 %; fewer steps"),
            event(400, "alarm", "blur: samples are 50 % as sharp; more channels"),
        ]);
        let told: Vec<&str> = told.iter().map(|(_, sentence)| sentence.as_str()).collect();
        assert_eq!(
            told,
            [
                "Alarm at step 300: copying: 80 %; fewer steps",
                "Alarm 2 times, last at step 400: blur: samples are 50 % as sharp; more channels",
            ]
        );
    }

    #[test]
    fn nearness_beyond_chance_is_said() {
        assert_eq!(nearness(5, 100).0, Tone::Good);
        assert_eq!(nearness(14, 100).0, Tone::Plain);
        assert_eq!(nearness(60, 100).0, Tone::Warning);
        assert!(nearness(14, 100).1.contains("(5 would by chance)"));
    }
}
