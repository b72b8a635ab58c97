//! The shape of a character as closed polygons: affine maps and the weight of the stroke.

use ab_glyph::{Outline, OutlineCurve, Point, Rect};

/// Lines that stand for one curve; at 28x28 they differ from it by less than 1/100 pixel.
const LINES_PER_CURVE: usize = 8;

/// A linear map of the plane.
pub(super) struct Linear {
    rows: [[f32; 2]; 2],
}

impl Linear {
    /// Stretches by `scale` (x, y), shears by `shear` (columns per row, upright strokes lean to the
    /// right), then turns by `angle` (radians, clockwise as y goes down).
    pub(super) fn new(angle: f32, shear: f32, scale: [f32; 2]) -> Self {
        let (sin, cos) = (libm::sinf(angle), libm::cosf(angle));
        let [sx, sy] = scale;
        let lean = -shear * sy;
        Self { rows: [[cos * sx, cos * lean - sin * sy], [sin * sx, sin * lean + cos * sy]] }
    }

    pub(super) fn apply(&self, p: Point) -> Point {
        let [x, y] = self.rows.map(|[a, b]| a * p.x + b * p.y);
        Point { x, y }
    }
}

/// Closed polygons; ink lies on the same side of all of them.
pub(super) struct Shape {
    contours: Vec<Vec<Point>>,
}

impl Shape {
    /// The curves of a glyph as polygons.
    pub(super) fn new(outline: &Outline) -> Self {
        let mut contours: Vec<Vec<Point>> = Vec::new();
        let mut end = None;
        for curve in &outline.curves {
            if end != Some(point_on(curve, 0.0)) {
                contours.push(Vec::new());
            }
            end = Some(point_on(curve, 1.0));
            let lines = if matches!(curve, OutlineCurve::Line(..)) { 1 } else { LINES_PER_CURVE };
            let points = (0..lines).map(|i| point_on(curve, i as f32 / lines as f32));
            if let Some(contour) = contours.last_mut() {
                contour.extend(points);
            }
        }
        // A side of no length has no direction; ab_glyph closes every contour with a line, often of none.
        contours.iter_mut().for_each(Vec::dedup);
        Self { contours }
    }

    /// With `map` applied to every corner.
    pub(super) fn mapped(&self, map: impl Fn(Point) -> Point) -> Self {
        let contours = self.contours.iter().map(|contour| contour.iter().map(|&p| map(p)).collect());
        Self { contours: contours.collect() }
    }

    /// With every side moved outwards by `by` (inwards if negative) and the corners mitred up to a
    /// limit, as FreeType's `FT_Outline_Embolden` does.
    ///
    /// On the page, ink lies to the right of a TrueType contour; with y down, `(dy, -dx)` of a side
    /// points away from it.
    pub(super) fn thickened(&self, by: f32) -> Self {
        let moved = |contour: &Vec<Point>| {
            let n = contour.len();
            (0..n)
                .map(|i| {
                    let before = outwards(contour[(i + n - 1) % n], contour[i]);
                    let after = outwards(contour[i], contour[(i + 1) % n]);
                    // The miter's length is 1 / cos(half the turn); at sharp corners it is cut.
                    let along = 1.0 + before.x * after.x + before.y * after.y;
                    let length = by / along.max(0.5);
                    let p = contour[i];
                    Point { x: p.x + (before.x + after.x) * length, y: p.y + (before.y + after.y) * length }
                })
                .collect()
        };
        Self { contours: self.contours.iter().map(moved).collect() }
    }

    /// Smallest box around the corners.
    pub(super) fn bounds(&self) -> Rect {
        let far = Point { x: f32::INFINITY, y: f32::INFINITY };
        let none = Rect { min: far, max: Point::default() - far };
        self.contours.iter().flatten().fold(none, |Rect { min, max }, p| Rect {
            min: Point { x: min.x.min(p.x), y: min.y.min(p.y) },
            max: Point { x: max.x.max(p.x), y: max.y.max(p.y) },
        })
    }

    /// The polygons as ab_glyph draws them.
    pub(super) fn to_outline(&self) -> Outline {
        let sides = |contour: &Vec<Point>| {
            let next = contour.iter().cycle().skip(1);
            contour.iter().zip(next).map(|(&a, &b)| OutlineCurve::Line(a, b)).collect::<Vec<_>>()
        };
        Outline { bounds: self.bounds(), curves: self.contours.iter().flat_map(sides).collect() }
    }
}

/// The unit normal of the side from `a` to `b` that points away from the ink.
fn outwards(a: Point, b: Point) -> Point {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let length = (dx * dx + dy * dy).sqrt();
    if length > 0.0 { Point { x: dy / length, y: -dx / length } } else { Point::default() }
}

/// The point of a curve at `t` in 0..=1 (de Casteljau).
fn point_on(curve: &OutlineCurve, t: f32) -> Point {
    let mix = |a: Point, b: Point| Point { x: a.x * (1.0 - t) + b.x * t, y: a.y * (1.0 - t) + b.y * t };
    match *curve {
        OutlineCurve::Line(a, b) => mix(a, b),
        OutlineCurve::Quad(a, b, c) => mix(mix(a, b), mix(b, c)),
        OutlineCurve::Cubic(a, b, c, d) => {
            let (ab, bc, cd) = (mix(a, b), mix(b, c), mix(c, d));
            mix(mix(ab, bc), mix(bc, cd))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A square of side 4 with a square hole of side 2, wound as in a TrueType font with y turned over.
    fn frame() -> Shape {
        let square = |low: f32, high: f32| {
            [(low, low), (high, low), (high, high), (low, high)].map(|(x, y)| Point { x, y }).to_vec()
        };
        let mut hole = square(1.0, 3.0);
        hole.reverse();
        Shape { contours: vec![square(0.0, 4.0), hole] }
    }

    /// Oracle: the corners by hand.
    #[test]
    fn a_thicker_frame_is_larger_outside_and_smaller_inside() {
        let thick = frame().thickened(0.25);
        assert_eq!(thick.bounds().min, Point { x: -0.25, y: -0.25 });
        assert_eq!(thick.bounds().max, Point { x: 4.25, y: 4.25 });
        let hole = Shape { contours: vec![thick.contours[1].clone()] }.bounds();
        assert_eq!((hole.min.x, hole.max.y), (1.25, 2.75));
    }

    /// Oracle: a quarter turn, a shear and a stretch by hand.
    #[test]
    fn linear_maps_stretch_shear_and_turn() {
        let close = |p: Point, x: f32, y: f32| (p.x - x).abs() < 1e-6 && (p.y - y).abs() < 1e-6;
        let p = Point { x: 2.0, y: -1.0 };
        assert!(close(Linear::new(std::f32::consts::FRAC_PI_2, 0.0, [1.0, 1.0]).apply(p), 1.0, 2.0));
        assert!(close(Linear::new(0.0, 0.5, [1.0, 1.0]).apply(p), 2.5, -1.0));
        assert!(close(Linear::new(0.0, 0.0, [3.0, 2.0]).apply(p), 6.0, -2.0));
    }
}
