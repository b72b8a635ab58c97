//! The eight creatures: which parts they have and where eyes and horns go.

use super::canvas::Material;
use super::mask::{AXIS, Mask};

/// What a sprite shows; the classes of the data set, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creature {
    /// A drop with a tip.
    Slime,
    /// Floats above the ground.
    Ghost,
    /// Pointed ears, whiskers and a tail.
    Cat,
    /// Wings, a beak and thin legs.
    Chick,
    /// Plates, an antenna and steel joints.
    Robot,
    /// A cap on a pale stem.
    Mushroom,
    /// A big head on tentacles.
    Octopus,
    /// Wings, a tail and a snout.
    Dragon,
}

impl Creature {
    /// Every kind of creature.
    pub const ALL: [Self; 8] = [
        Self::Slime,
        Self::Ghost,
        Self::Cat,
        Self::Chick,
        Self::Robot,
        Self::Mushroom,
        Self::Octopus,
        Self::Dragon,
    ];

    /// Its name in captions and as a class.
    pub fn name(self) -> &'static str {
        match self {
            Self::Slime => "slime",
            Self::Ghost => "ghost",
            Self::Cat => "cat",
            Self::Chick => "chick",
            Self::Robot => "robot",
            Self::Mushroom => "mushroom",
            Self::Octopus => "octopus",
            Self::Dragon => "dragon",
        }
    }
}

/// How wide and high a creature is compared to its kind, in half-pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Build {
    pub(super) wide: i32,
    pub(super) high: i32,
}

/// Where eyes go and how big they are, in half-pixels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eyes {
    /// Height of one eye or a pair.
    pub(super) y: i32,
    /// Distance of a pair from the axis.
    pub(super) aside: i32,
    /// Height of the third.
    pub(super) third_y: i32,
    pub(super) radius: i32,
}

impl Eyes {
    fn new(y: i32, aside: i32) -> Self {
        Self { y, aside, third_y: y - 9, radius: 5 }
    }
}

/// The parts of one creature. Lengths are in half-pixels.
pub(super) struct Anatomy {
    /// From back to front; what grows on the head is put between `behind` and `front`.
    pub(super) behind: Vec<(Mask, Material)>,
    pub(super) front: Vec<(Mask, Material)>,
    /// Where spots and stripes may go.
    pub(super) skin: Mask,
    /// Recoloured without an outline: bellies, inner ears, suckers.
    pub(super) tints: Vec<(Mask, Material)>,
    pub(super) eyes: Eyes,
    /// Height of the mouth; none for beaks.
    pub(super) mouth: Option<i32>,
    /// Height where horns leave the head, and their distance from the axis.
    pub(super) horns: (i32, i32),
    /// Height of the top of the head on the axis.
    pub(super) crown: i32,
}

impl Anatomy {
    pub(super) fn new(creature: Creature, build: Build) -> Self {
        match creature {
            Creature::Slime => slime(build),
            Creature::Ghost => ghost(build),
            Creature::Cat => cat(build),
            Creature::Chick => chick(build),
            Creature::Robot => robot(build),
            Creature::Mushroom => mushroom(build),
            Creature::Octopus => octopus(build),
            Creature::Dragon => dragon(build),
        }
    }
}

use Material::{Accent, Dark, Gold, Ivory, Skin, Steel};

/// A pair of ellipses `aside` from the axis.
fn pair(aside: i32, cy: i32, rx: i32, ry: i32) -> Mask {
    Mask::ellipse(AXIS - aside, cy, rx, ry).twice()
}

fn slime(Build { wide, high }: Build) -> Anatomy {
    let top = 25 - high;
    let dome = Mask::ellipse(AXIS, 45, 20 + wide, 45 - top);
    let base = Mask::ellipse(AXIS, 51, 24 + wide, 7);
    let tip = Mask::triangle((AXIS - 7, top + 3), (AXIS + 7, top + 3), (AXIS + 2, top - 10));
    let body = (dome | base).above(56) | tip;
    Anatomy {
        behind: vec![],
        front: vec![(body, Skin)],
        skin: body,
        tints: vec![],
        eyes: Eyes::new(40, 8),
        mouth: Some(50),
        horns: (31 - high, 13),
        crown: top - 6,
    }
}

fn ghost(Build { wide, high }: Build) -> Anatomy {
    let (half, top) = (17 + wide, 14 - high);
    let hood = Mask::ellipse(AXIS, top + 17, half, 17);
    let cloth = Mask::rectangle(AXIS - half, top + 17, AXIS + half - 1, 47);
    let hem = pair(half * 2 / 3, 47, half / 3, 5) | Mask::ellipse(AXIS, 47, half / 3, 5);
    let arms = pair(half + 2, 35, 4, 4);
    let body = hood | cloth | hem | arms;
    Anatomy {
        behind: vec![],
        front: vec![(body, Skin)],
        skin: body,
        tints: vec![],
        eyes: Eyes::new(27 - high / 2, 8),
        mouth: Some(39 - high / 2),
        horns: (top + 6, 11),
        crown: top,
    }
}

fn cat(Build { wide, high }: Build) -> Anatomy {
    let tail = Mask::ellipse(50, 43, 9, 11) - Mask::ellipse(48, 41, 5, 8) - Mask::rectangle(0, 0, 47, 64);
    let ear = |inset| {
        let (left, top) = (AXIS - 18 - wide + inset, 3 - high + 2 * inset);
        Mask::triangle((left, 24), (left, top), (AXIS - 4 - inset, 18)).twice()
    };
    let body = Mask::ellipse(AXIS, 48, 13 + wide / 2, 8);
    let paws = pair(7, 55, 5, 3);
    let head = Mask::ellipse(AXIS, 29 - high, 19 + wide, 14);
    let whiskers = Mask::pixels(&[(4, 14), (5, 14), (4, 17), (5, 17)]).moved(-wide / 2, -high / 2).twice();
    Anatomy {
        behind: vec![(tail, Skin), (ear(0), Skin)],
        front: vec![(body, Skin), (paws, Ivory), (head, Skin)],
        skin: head | body,
        tints: vec![
            ((ear(3) - head.grown()), Accent),
            (Mask::ellipse(AXIS, 51, 6, 6) & body, Accent),
            (whiskers, Dark),
        ],
        eyes: Eyes::new(27 - high, 9),
        mouth: Some(37 - high),
        horns: (17 - high, 6),
        crown: 15 - high,
    }
}

fn chick(Build { wide, high }: Build) -> Anatomy {
    let top = 16 - high;
    let body = Mask::ellipse(AXIS, 34 - high / 2, 18 + wide, 34 - high / 2 - top);
    let tuft = Mask::triangle((AXIS - 3, top + 2), (AXIS + 3, top + 2), (AXIS - 4, top - 6))
        | Mask::triangle((AXIS - 2, top + 2), (AXIS + 4, top + 2), (AXIS + 5, top - 7));
    let legs = Mask::rectangle(24, 50, 26, 57) | Mask::rectangle(20, 56, 28, 58);
    let wings = pair(18 + wide, 38, 5, 9);
    let beak = Mask::triangle((AXIS - 5, 33), (AXIS + 5, 33), (AXIS, 41));
    Anatomy {
        behind: vec![(legs.twice(), Gold), (tuft, Skin)],
        front: vec![(body, Skin), (wings, Skin), (beak, Gold)],
        skin: body,
        tints: vec![(Mask::ellipse(AXIS, 47, 11 + wide, 7) & body.shrunk(), Accent)],
        eyes: Eyes::new(28 - high / 2, 9),
        mouth: None,
        horns: (top + 5, 10),
        crown: top,
    }
}

fn robot(Build { wide, high }: Build) -> Anatomy {
    let top = 14 - high;
    let legs = Mask::rectangle(22, 48, 28, 57).twice();
    let arms = Mask::rectangle(9 - wide, 40, 13 - wide, 49).twice();
    let antenna = Mask::rectangle(AXIS + 19 + wide, top - 4, AXIS + 20 + wide, top + 8);
    let body = Mask::plate(15 + wide, 38, 51, 3);
    let head = Mask::plate(18 + wide, top, 36, 4);
    let ears = Mask::rectangle(AXIS - 22 - wide, top + 8, AXIS - 19 - wide, top + 14).twice();
    let panel = Mask::plate(7, 42, 47, 0);
    Anatomy {
        behind: vec![(legs, Steel), (arms, Steel), (antenna, Steel), (ears, Steel)],
        front: vec![(Mask::ellipse(AXIS + 20 + wide, top - 6, 3, 3), Gold), (body, Skin), (head, Skin)],
        skin: head | body,
        tints: vec![(panel, Accent), (Mask::plate(15 + wide, top + 3, 30, 2), Steel)],
        eyes: Eyes::new(23 - high / 2, 8),
        mouth: Some(33),
        horns: (top + 1, 10),
        crown: top,
    }
}

fn mushroom(Build { wide, high }: Build) -> Anatomy {
    let top = 13 - high;
    let stem = Mask::ellipse(AXIS, 45, 12 + wide / 2, 12) | Mask::plate(10 + wide / 2, 28, 46, 0);
    let cap = Mask::ellipse(AXIS, 31, 24 + wide, 31 - top).above(32) | Mask::ellipse(AXIS, 31, 24 + wide, 4);
    let spots = pair(15, 24, 5, 4) | Mask::ellipse(AXIS + 1, 19 - high / 2, 6, 4);
    let feet = pair(7, 55, 5, 3);
    Anatomy {
        behind: vec![(feet, Ivory)],
        front: vec![(stem, Ivory), (cap, Skin)],
        skin: cap,
        tints: vec![(spots & cap.shrunk(), Accent)],
        eyes: Eyes { y: 40, aside: 6, third_y: 23, radius: 4 },
        mouth: Some(50),
        horns: (top + 5, 12),
        crown: top,
    }
}

fn octopus(Build { wide, high }: Build) -> Anatomy {
    let top = 13 - high;
    let tentacles = [(6, 52), (14, 51), (21 + wide / 2, 47)]
        .into_iter()
        .fold(Mask::EMPTY, |all, (aside, y)| all | pair(aside, y, 4, 6));
    let curl = pair(25 + wide / 2, 49, 3, 3);
    let head = Mask::ellipse(AXIS, top + 17, 19 + wide, 17) | Mask::plate(14 + wide, 32, 47, 3);
    let suckers = pair(6, 55, 2, 2) | pair(14, 54, 2, 2);
    Anatomy {
        behind: vec![(tentacles | curl, Skin)],
        front: vec![(head, Skin)],
        skin: head,
        tints: vec![(suckers, Accent)],
        eyes: Eyes::new(30 - high / 2, 8),
        mouth: Some(42 - high / 2),
        horns: (top + 6, 12),
        crown: top,
    }
}

fn dragon(Build { wide, high }: Build) -> Anatomy {
    let wings = Mask::triangle((20, 46), (4, 28), (4, 44)) | Mask::triangle((22, 46), (4, 27), (14, 34));
    let tail = Mask::triangle((42, 56), (42, 48), (60, 51)) | Mask::triangle((54, 53), (56, 45), (61, 51));
    let body = Mask::ellipse(AXIS, 47, 13 + wide / 2, 9);
    let feet = pair(9, 55, 5, 3);
    let head = Mask::ellipse(AXIS, 27 - high, 16 + wide, 13);
    let snout = Mask::ellipse(AXIS, 35 - high, 11 + wide / 2, 6);
    let fin = Mask::triangle((18, 32), (18, 20), (9 - wide, 17)).moved(0, -high / 2);
    let nostrils = Mask::pixels(&[(14, 15)]).moved(0, -high / 2).twice();
    Anatomy {
        behind: vec![(wings.twice(), Accent), (tail, Skin), (fin.twice(), Accent)],
        front: vec![(body, Skin), (feet, Ivory), (head, Skin), (snout, Skin)],
        skin: head | body,
        tints: vec![(Mask::ellipse(AXIS, 50, 8, 6) & body, Accent), (nostrils, Dark)],
        eyes: Eyes::new(24 - high, 8),
        mouth: Some(37 - high),
        horns: (17 - high, 10),
        crown: 14 - high,
    }
}
