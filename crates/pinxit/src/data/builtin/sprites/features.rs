//! What makes two sprites of a kind differ: headgear, eyes, mouths and patterns.

use super::anatomy::{Anatomy, Eyes};
use super::canvas::{Canvas, Light, Material};
use super::mask::{AXIS, Mask};

/// What grows or sits on the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Headgear {
    /// Nothing.
    Bare,
    /// Two horns.
    Horns,
    /// One horn in the middle.
    Horn,
    /// A golden crown.
    Crown,
    /// A sprout with two leaves.
    Sprout,
}

/// What is on the skin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// Nothing.
    Plain,
    /// Dots in the second colour.
    Spots,
    /// Bands in the second colour.
    Stripes,
}

/// How the mouth looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mouth {
    /// A curve upwards.
    Smile,
    /// Open, with a tongue.
    Laugh,
    /// Closed, with two teeth showing.
    Fangs,
    /// A small round O.
    Gasp,
}

/// How the eyes look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gaze {
    /// Wide open.
    Round,
    /// Small and dark.
    Bead,
    /// Half closed.
    Sleepy,
    /// Under slanted brows.
    Cross,
}

impl Headgear {
    pub(super) const ALL: [Self; 5] = [Self::Bare, Self::Horns, Self::Horn, Self::Crown, Self::Sprout];

    /// The word in a caption.
    pub(super) fn adjective(self) -> Option<&'static str> {
        match self {
            Self::Bare => None,
            Self::Horns => Some("horned"),
            Self::Horn => Some("one-horned"),
            Self::Crown => Some("crowned"),
            Self::Sprout => Some("sprouting"),
        }
    }

    /// Whether it is put before the head, which then hides its root; a crown is put on it.
    pub(super) fn is_rooted(self) -> bool {
        self != Self::Crown
    }

    /// Draws it.
    pub(super) fn draw(self, canvas: &mut Canvas, anatomy: &Anatomy) {
        let ((base, aside), top) = (anatomy.horns, anatomy.crown);
        match self {
            Self::Bare => {}
            Self::Horns => {
                let (inner, outer) = (AXIS - aside + 4, AXIS - aside - 4);
                let horn = Mask::triangle((inner, base + 3), (outer, base + 6), (outer - 4, base - 10));
                canvas.put(horn.twice(), Material::Ivory);
            }
            Self::Horn => {
                let horn = Mask::triangle((AXIS - 5, top + 5), (AXIS + 5, top + 5), (AXIS + 1, top - 11));
                canvas.put(horn, Material::Ivory);
            }
            Self::Crown => {
                let spike = |x: i32| Mask::triangle((x - 4, top), (x + 4, top), (x, top - 8));
                let band = Mask::rectangle(AXIS - 9, top - 2, AXIS + 8, top + 5);
                canvas.put(band | spike(AXIS - 7).twice() | spike(AXIS), Material::Gold);
            }
            Self::Sprout => {
                canvas.put(Mask::rectangle(AXIS - 1, top - 6, AXIS + 1, top + 4), Material::Leaf);
                canvas.put(
                    Mask::ellipse(AXIS - 5, top - 8, 5, 3) | Mask::ellipse(AXIS + 6, top - 9, 5, 3),
                    Material::Leaf,
                );
            }
        }
    }
}

impl Pattern {
    pub(super) const ALL: [Self; 3] = [Self::Plain, Self::Spots, Self::Stripes];

    /// The word in a caption.
    pub(super) fn adjective(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Spots => Some("spotted"),
            Self::Stripes => Some("striped"),
        }
    }

    /// Recolours the skin that shows on the canvas; `phase` shifts the pattern.
    pub(super) fn draw(self, canvas: &mut Canvas, anatomy: &Anatomy, phase: i32) {
        let (left, top, right, bottom) = anatomy.skin.bounds();
        let pattern = match self {
            Self::Plain => return,
            Self::Spots => {
                let (dx, dy) = ((right - left) / 3, (bottom - top) / 3);
                let spot = |column: i32, row: i32| {
                    let shift = if row % 2 == 0 { 0 } else { dx / 2 };
                    Mask::ellipse(left + shift + column * dx + phase, top + 5 + row * dy, 4, 3)
                };
                (0..16).map(|i| spot(i % 4, i / 4)).fold(Mask::EMPTY, |all, spot| all | spot)
            }
            Self::Stripes => (0..4)
                .map(|i| {
                    let y = top + 4 + phase + i * 11;
                    let reach = (right - left) / 4;
                    Mask::triangle((left - 2, y), (left - 2, y + 6), (left + reach, y + 3)).twice()
                })
                .fold(Mask::EMPTY, |all, stripe| all | stripe),
        };
        let visible = pattern & anatomy.skin.shrunk() & canvas.where_material(Material::Skin);
        canvas.tint(visible, Material::Accent);
    }
}

impl Gaze {
    pub(super) const ALL: [Self; 4] = [Self::Round, Self::Bead, Self::Sleepy, Self::Cross];

    /// Draws `count` (1 to 3) eyes.
    pub(super) fn draw(self, canvas: &mut Canvas, eyes: Eyes, count: u32) {
        let Eyes { y, aside, third_y, radius } = eyes;
        if count == 1 {
            self.draw_eye(canvas, AXIS - 1, y - 3, radius + 2);
            return;
        }
        if count == 3 {
            self.draw_eye(canvas, AXIS - 1, third_y, radius);
        }
        self.draw_eye(canvas, AXIS - aside, y, radius);
        self.draw_eye(canvas, AXIS + aside, y, radius);
    }

    fn draw_eye(self, canvas: &mut Canvas, x: i32, y: i32, radius: i32) {
        let around = canvas.cells[y as usize / 2][x as usize / 2].0;
        let ball = Mask::ellipse(x, y, radius, radius + 1);
        let glint = Mask::ellipse(x - 1, y - 1, 1, 1);
        if self == Self::Bead {
            canvas.mark(Mask::ellipse(x, y, radius - 2, radius - 1), Material::Dark, Light::Middle);
            canvas.mark(glint, Material::EyeWhite, Light::Glint);
            return;
        }
        canvas.mark(ball.grown() - ball, Material::Outline, Light::Middle);
        canvas.mark(ball, Material::EyeWhite, Light::Bright);
        canvas.mark(Mask::ellipse(x, y + 1, radius - 2, radius - 1), Material::Dark, Light::Middle);
        canvas.mark(glint, Material::EyeWhite, Light::Glint);
        match self {
            Self::Sleepy => canvas.mark(ball.above(y), around, Light::Middle),
            Self::Cross => {
                let slant = 3 * (AXIS - 1 - x).signum();
                let (left, right) = ((x - radius, y - radius - slant), (x + radius, y - radius + slant));
                canvas.mark(Mask::triangle(left, right, (x, y - radius - 3)), Material::Dark, Light::Middle);
            }
            Self::Round | Self::Bead => {}
        }
    }
}

impl Mouth {
    pub(super) const ALL: [Self; 4] = [Self::Smile, Self::Laugh, Self::Fangs, Self::Gasp];

    /// What a caption says of it.
    pub(super) fn phrase(self) -> &'static str {
        match self {
            Self::Smile => "a smile",
            Self::Laugh => "a laugh",
            Self::Fangs => "fangs",
            Self::Gasp => "an open mouth",
        }
    }

    /// Draws it at half-pixel row `y`.
    pub(super) fn draw(self, canvas: &mut Canvas, y: i32) {
        let line = |half: i32| Mask::rectangle(AXIS - half, y - 1, AXIS + half - 1, y);
        let corners = |half: i32| Mask::rectangle(AXIS - half - 2, y - 3, AXIS - half - 1, y - 2).twice();
        match self {
            Self::Smile => {
                let cheeks = Mask::rectangle(AXIS - 14, y - 4, AXIS - 11, y - 2).twice();
                canvas.tint(cheeks & canvas.where_material(Material::Skin), Material::Blush);
                canvas.mark(line(4) | corners(4), Material::Dark, Light::Middle);
            }
            Self::Laugh => {
                let open = Mask::ellipse(AXIS, y - 2, 6, 6);
                canvas.mark(open - open.above(y - 2), Material::Dark, Light::Middle);
                canvas.mark(Mask::ellipse(AXIS, y + 1, 3, 2), Material::Tongue, Light::Middle);
            }
            Self::Fangs => {
                canvas.mark(line(6), Material::Dark, Light::Middle);
                canvas.mark(
                    Mask::rectangle(AXIS - 5, y + 1, AXIS - 3, y + 2).twice(),
                    Material::EyeWhite,
                    Light::Glint,
                );
            }
            Self::Gasp => canvas.mark(Mask::ellipse(AXIS, y, 3, 3), Material::Dark, Light::Middle),
        }
    }
}
