//! A measure over the steps of a run, as an SVG drawing.

use super::html::{escape, number};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 230.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
/// The lower edge, below which the numbers of the steps stand.
const FLOOR: f64 = HEIGHT - 36.0;
/// Points of a drawn line; more are averaged.
const POINTS: usize = 400;
/// Ratio of largest to smallest value from which a logarithmic axis shows more.
const LOGARITHMIC: f64 = 15.0;

/// What is to be drawn.
pub(super) struct Curve<'a> {
    pub(super) name: &'a str,
    /// Step and value, in the order in which they were measured.
    pub(super) points: Vec<(f64, f64)>,
    /// Steps to mark with an upright line.
    pub(super) marks: &'a [f64],
    /// Whether it was measured: a smooth line belongs over the points, and the axis may be
    /// logarithmic. What is set is drawn as it is.
    pub(super) is_measured: bool,
}

/// Maps values to a length, straight or by their logarithm.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
}

impl Axis {
    /// An axis for all of `values`, except the outermost hundredth of many.
    fn of(values: &[f64], may_be_log: bool) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let cut = sorted.len() / 100;
        let (low, high) = (sorted[cut], sorted[sorted.len() - 1 - cut]);
        if may_be_log && low > 0.0 && high / low > LOGARITHMIC {
            return Self { low: low.log10(), high: high.log10(), is_log: true };
        }
        let margin = if high > low { 0.05 * (high - low) } else { high.abs().max(1e-9) * 0.5 };
        let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        Self { low: (low - margin).max(floor), high: high + margin, is_log: false }
    }

    /// 0 at the low end, 1 at the high end.
    fn place(self, value: f64) -> f64 {
        let value = if self.is_log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Round values along the axis.
    fn ticks(self) -> Vec<f64> {
        if !self.is_log {
            return round_steps(self.low, self.high);
        }
        let few = self.high - self.low < 2.5;
        let leads: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let decades = self.low.floor() as i32..=self.high.ceil() as i32;
        let all = decades.flat_map(|decade| leads.iter().map(move |lead| lead * 10f64.powi(decade)));
        all.filter(|tick| (-1e-9..=1.0 + 1e-9).contains(&self.place(*tick))).collect()
    }
}

/// About five values 1, 2 or 5 times a power of ten apart.
fn round_steps(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|lead| lead * power).find(|step| *step >= rough);
    let step = step.unwrap_or(power);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

/// The drawing; nothing if there are not two finite points.
pub(super) fn draw(curve: &Curve<'_>) -> Option<String> {
    let is_finite = |(_, value): &(f64, f64)| value.is_finite();
    let points: Vec<(f64, f64)> = curve.points.iter().copied().filter(is_finite).collect();
    if points.len() < 2 {
        return None;
    }
    let frame = Frame::of(&points, curve.is_measured);
    let thinned = thin(&points);
    let lines = match curve.is_measured {
        true => frame.line("raw", &thinned) + &frame.line("line", &smooth(&thinned)),
        false => frame.line("line", &thinned),
    };
    Some(format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{} over steps\" \
         xmlns=\"http://www.w3.org/2000/svg\">{}{}{lines}</svg>",
        escape(curve.name),
        frame.ticks(),
        frame.marks(curve.marks),
    ))
}

/// Where steps and values lie on the drawing.
struct Frame {
    x: Axis,
    y: Axis,
}

impl Frame {
    fn of(points: &[(f64, f64)], may_be_log: bool) -> Self {
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        let last = points.iter().map(|(step, _)| *step).fold(1.0, f64::max);
        Self { x: Axis { low: 0.0, high: last, is_log: false }, y: Axis::of(&values, may_be_log) }
    }

    fn x(&self, step: f64) -> f64 {
        LEFT + self.x.place(step) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        FLOOR - self.y.place(value) * (FLOOR - TOP)
    }

    /// Rules and numbers of both axes.
    fn ticks(&self) -> String {
        let mut svg = String::new();
        let end = WIDTH - RIGHT;
        for tick in self.y.ticks() {
            let (y, text_y, text_x) = (self.y(tick), self.y(tick) + 4.0, LEFT - 8.0);
            svg += &format!(
                "<line class=\"rule\" x1=\"{LEFT}\" x2=\"{end}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text class=\"y\" x=\"{text_x}\" y=\"{text_y:.1}\">{}</text>",
                label(tick)
            );
        }
        for tick in self.x.ticks() {
            let (x, y) = (self.x(tick), FLOOR + 18.0);
            svg += &format!("<text class=\"x\" x=\"{x:.1}\" y=\"{y}\">{}</text>", label(tick));
        }
        svg + &format!("<text class=\"x\" x=\"{}\" y=\"{}\">step</text>", end - 10.0, HEIGHT - 4.0)
    }

    fn marks(&self, steps: &[f64]) -> String {
        let mark = |step: &f64| {
            let x = self.x(*step);
            format!("<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{FLOOR}\"/>")
        };
        steps.iter().map(mark).collect()
    }

    /// A line through the points, with a gap where steps go back; outliers run along the edge.
    fn line(&self, class: &str, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        let mut before = f64::INFINITY;
        for &(step, value) in points {
            let draw = if step > before { 'L' } else { 'M' };
            path += &format!("{draw}{:.1} {:.1}", self.x(step), self.y(value).clamp(TOP - 4.0, FLOOR + 4.0));
            before = step;
        }
        format!("<path class=\"{class}\" d=\"{path}\"/>")
    }
}

/// A round number, without zeros that say nothing.
fn label(tick: f64) -> String {
    let text = number(tick);
    match text.contains('.') && !text.contains('e') {
        true => text.trim_end_matches('0').trim_end_matches('.').into(),
        false => text.replace(".0e", "e"),
    }
}

/// Neighbouring points averaged so that at most [`POINTS`] are left. Points after a rollback are
/// not mixed with those before it.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS);
    let parts = points.chunk_by(|(before, _), (after, _)| before < after);
    let mean = |chunk: &[(f64, f64)]| {
        let n = chunk.len() as f64;
        let sum = chunk.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
        (sum.0 / n, sum.1 / n)
    };
    parts.flat_map(|part| part.chunks(size).map(mean)).collect()
}

/// Exponential moving average over about a twentieth of the points, without the bias of its start.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let decay = 1.0 - 1.0 / (points.len() as f64 / 20.0).max(1.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let next = |&(step, value): &(f64, f64)| {
        sum = decay * sum + (1.0 - decay) * value;
        weight = decay * weight + (1.0 - decay);
        (step, sum / weight)
    };
    points.iter().map(next).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(round_steps(0.0, 1080.0), [0.0, 500.0, 1000.0]);
        assert_eq!(round_steps(-1.0, 1.0), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        let axis = Axis::of(&[0.01, 1.0], true);
        assert!(axis.is_log);
        let ticks: Vec<String> = axis.ticks().into_iter().map(label).collect();
        assert_eq!(ticks, ["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]);
        assert_eq!([0.0, 20.0, 1500.0, 2e-4].map(label), ["0", "20", "1,500", "2e-4"]);
    }

    #[test]
    fn constant_values_have_an_axis() {
        for value in [0.0, 3.0, -2.0] {
            let axis = Axis::of(&[value, value], true);
            assert!((0.0..=1.0).contains(&axis.place(value)), "{value}");
            assert!(axis.ticks().len() < 20);
        }
    }

    #[test]
    fn a_line_begins_anew_after_a_rollback() {
        let curve = Curve {
            name: "loss",
            points: vec![(1.0, 1.0), (2.0, 0.5), (3.0, 9.0), (2.0, 0.4), (3.0, 0.3)],
            marks: &[2.0],
            is_measured: false,
        };
        let svg = draw(&curve).unwrap();
        assert_eq!(svg.matches('M').count(), 2);
        assert_eq!(svg.matches("class=\"mark\"").count(), 1);
    }

    #[test]
    fn thinning_keeps_means() {
        let points: Vec<(f64, f64)> = (0..4000).map(|i| (f64::from(i), f64::from(i % 10))).collect();
        let thinned = thin(&points);
        assert_eq!(thinned.len(), 400);
        assert!(thinned.iter().all(|(_, value)| (value - 4.5).abs() < 1e-9));
        assert_eq!(smooth(&[(0.0, 5.0), (1.0, 5.0)]), [(0.0, 5.0), (1.0, 5.0)]);
    }
}
