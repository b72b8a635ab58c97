//! The one-dimensional transforms of Winograd's algorithm, in the notation of Lavin and Gray 2015, "Fast
//! Algorithms for Convolutional Neural Networks", arXiv:1509.09308, eq. 6: `Y = A^T [(G g) . (B^T d)]`.
//!
//! m outputs of a kernel with r taps take n = m + r - 1 products instead of m r: the values of a product of
//! polynomials at n points. Both algorithms here evaluate at `±a`, `±b` and infinity, [`F4x3`] also at 0.
//! Opposite points share their even and odd parts. The values of a and b are not the usual 1 and 2: they were
//! searched for the smallest error in `f32`, 2.5 times smaller for F(4, 3) (compare Alam et al. 2022,
//! "Winograd Convolution for Deep Neural Networks: Efficient Point Selection", arXiv:2201.10369).

use super::lanes::Lanes;

/// Room for the points of either algorithm; those beyond [`Transform::POINTS`] stay unused.
pub(super) const MAX_POINTS: usize = 6;
/// Outputs of a tile.
pub(super) const OUTPUTS: usize = 4;
/// Room for the taps of either algorithm.
pub(super) const MAX_TAPS: usize = 3;

/// Values at the points.
pub(super) type Points<L> = [L; MAX_POINTS];

/// F(4, r) in one dimension.
pub(super) trait Transform: Send + Sync {
    /// r.
    const TAPS: usize;
    /// n = 4 + r - 1.
    const POINTS: usize = OUTPUTS + Self::TAPS - 1;

    /// `B^T d`: the input at the points.
    fn input<L: Lanes>(d: Points<L>) -> Points<L>;

    /// `A^T v`: outputs from products.
    fn output<L: Lanes>(v: Points<L>) -> [L; OUTPUTS];

    /// `A y`: the gradient of the products from the one of the outputs.
    fn output_adjoint<L: Lanes>(y: [L; OUTPUTS]) -> Points<L>;

    /// `G g`: the kernel at the points.
    fn kernel<L: Lanes>(g: [L; MAX_TAPS]) -> Points<L>;

    /// `G^T v`: the gradient of the taps from the one of the kernel at the points.
    fn kernel_adjoint<L: Lanes>(v: Points<L>) -> [L; MAX_TAPS];
}

/// A pair of opposite points `±at`.
#[derive(Clone, Copy)]
struct Pair {
    at: f32,
}

impl Pair {
    /// `even ± at odd`.
    #[inline(always)]
    fn values<L: Lanes>(self, even: L, odd: L) -> (L, L) {
        (odd.mul_add(L::splat(self.at), even), odd.mul_add(L::splat(-self.at), even))
    }
}

/// `x + factor y`.
#[inline(always)]
fn plus<L: Lanes>(x: L, factor: f32, y: L) -> L {
    y.mul_add(L::splat(factor), x)
}

/// `p x + q y`.
#[inline(always)]
fn mix<L: Lanes>(p: f32, x: L, q: f32, y: L) -> L {
    plus(x.mul(L::splat(p)), q, y)
}

/// The outputs without the parts of 0 and infinity: powers 0 to 3 of `±a` and `±b`.
#[inline(always)]
fn powers<L: Lanes>(a: f32, b: f32, [pa, na, pb, nb]: [L; 4]) -> [L; OUTPUTS] {
    let (even_a, odd_a, even_b, odd_b) = (pa.add(na), pa.sub(na), pb.add(nb), pb.sub(nb));
    [
        even_a.add(even_b),
        mix(a, odd_a, b, odd_b),
        mix(a * a, even_a, b * b, even_b),
        mix(a * a * a, odd_a, b * b * b, odd_b),
    ]
}

/// The polynomial with the coefficients `y` at `±at`.
#[inline(always)]
fn cubic<L: Lanes>(at: f32, y: [L; OUTPUTS]) -> (L, L) {
    Pair { at }.values(plus(y[0], at * at, y[2]), plus(y[1], at * at, y[3]))
}

/// F(4, 3): 6 products for 12.
pub(super) struct F4x3;

impl F4x3 {
    const A: f32 = 0.625;
    const B: f32 = 1.5;
    const AA: f32 = Self::A * Self::A;
    const BB: f32 = Self::B * Self::B;
    /// The products of a point's distances to the other points: its denominator in G.
    const AT_0: f32 = 1.0 / (Self::AA * Self::BB);
    const AT_A: f32 = 1.0 / (2.0 * Self::AA * (Self::AA - Self::BB));
    const AT_B: f32 = 1.0 / (2.0 * Self::BB * (Self::BB - Self::AA));
}

impl Transform for F4x3 {
    const TAPS: usize = 3;

    #[inline(always)]
    fn input<L: Lanes>(d: Points<L>) -> Points<L> {
        let (pa, na) = Pair { at: Self::A }.values(plus(d[4], -Self::BB, d[2]), plus(d[3], -Self::BB, d[1]));
        let (pb, nb) = Pair { at: Self::B }.values(plus(d[4], -Self::AA, d[2]), plus(d[3], -Self::AA, d[1]));
        let zero = plus(plus(d[4], -(Self::AA + Self::BB), d[2]), Self::AA * Self::BB, d[0]);
        let infinity = plus(plus(d[5], -(Self::AA + Self::BB), d[3]), Self::AA * Self::BB, d[1]);
        [zero, pa, na, pb, nb, infinity]
    }

    #[inline(always)]
    fn output<L: Lanes>(v: Points<L>) -> [L; OUTPUTS] {
        let [y0, y1, y2, y3] = powers(Self::A, Self::B, [v[1], v[2], v[3], v[4]]);
        [y0.add(v[0]), y1, y2, y3.add(v[5])]
    }

    #[inline(always)]
    fn output_adjoint<L: Lanes>(y: [L; OUTPUTS]) -> Points<L> {
        let ((pa, na), (pb, nb)) = (cubic(Self::A, y), cubic(Self::B, y));
        [y[0], pa, na, pb, nb, y[3]]
    }

    #[inline(always)]
    fn kernel<L: Lanes>([g0, g1, g2]: [L; MAX_TAPS]) -> Points<L> {
        let (even_a, even_b) = (plus(g0, Self::AA, g2), plus(g0, Self::BB, g2));
        let (pa, na) = Pair { at: Self::A * Self::AT_A }.values(even_a.mul(L::splat(Self::AT_A)), g1);
        let (pb, nb) = Pair { at: Self::B * Self::AT_B }.values(even_b.mul(L::splat(Self::AT_B)), g1);
        [g0.mul(L::splat(Self::AT_0)), pa, na, pb, nb, g2]
    }

    #[inline(always)]
    fn kernel_adjoint<L: Lanes>(v: Points<L>) -> [L; MAX_TAPS] {
        let (even_a, odd_a) = (v[1].add(v[2]), v[1].sub(v[2]));
        let (even_b, odd_b) = (v[3].add(v[4]), v[3].sub(v[4]));
        [
            plus(mix(Self::AT_A, even_a, Self::AT_B, even_b), Self::AT_0, v[0]),
            mix(Self::A * Self::AT_A, odd_a, Self::B * Self::AT_B, odd_b),
            mix(Self::AA * Self::AT_A, even_a, Self::BB * Self::AT_B, even_b).add(v[5]),
        ]
    }
}

/// F(4, 2): 5 products for 8.
pub(super) struct F4x2;

impl F4x2 {
    const A: f32 = 0.375;
    const B: f32 = 1.25;
    const AA: f32 = Self::A * Self::A;
    const BB: f32 = Self::B * Self::B;
    const AT_A: f32 = 1.0 / (2.0 * Self::A * (Self::AA - Self::BB));
    const AT_B: f32 = 1.0 / (2.0 * Self::B * (Self::BB - Self::AA));
}

impl Transform for F4x2 {
    const TAPS: usize = 2;

    #[inline(always)]
    fn input<L: Lanes>(d: Points<L>) -> Points<L> {
        let (pa, na) = Pair { at: Self::A }.values(plus(d[3], -Self::BB, d[1]), plus(d[2], -Self::BB, d[0]));
        let (pb, nb) = Pair { at: Self::B }.values(plus(d[3], -Self::AA, d[1]), plus(d[2], -Self::AA, d[0]));
        let infinity = plus(plus(d[4], -(Self::AA + Self::BB), d[2]), Self::AA * Self::BB, d[0]);
        [pa, na, pb, nb, infinity, infinity]
    }

    #[inline(always)]
    fn output<L: Lanes>(v: Points<L>) -> [L; OUTPUTS] {
        let [y0, y1, y2, y3] = powers(Self::A, Self::B, [v[0], v[1], v[2], v[3]]);
        [y0, y1, y2, y3.add(v[4])]
    }

    #[inline(always)]
    fn output_adjoint<L: Lanes>(y: [L; OUTPUTS]) -> Points<L> {
        let ((pa, na), (pb, nb)) = (cubic(Self::A, y), cubic(Self::B, y));
        [pa, na, pb, nb, y[3], y[3]]
    }

    #[inline(always)]
    fn kernel<L: Lanes>([g0, g1, _]: [L; MAX_TAPS]) -> Points<L> {
        // The distances of -a to the others are those of a with the opposite sign.
        let (pa, na) = Pair { at: Self::A * Self::AT_A }.values(g0.mul(L::splat(Self::AT_A)), g1);
        let (pb, nb) = Pair { at: Self::B * Self::AT_B }.values(g0.mul(L::splat(Self::AT_B)), g1);
        let minus = L::splat(-1.0);
        [pa, na.mul(minus), pb, nb.mul(minus), g1, g1]
    }

    #[inline(always)]
    fn kernel_adjoint<L: Lanes>(v: Points<L>) -> [L; MAX_TAPS] {
        let (even_a, odd_a) = (v[0].add(v[1]), v[0].sub(v[1]));
        let (even_b, odd_b) = (v[2].add(v[3]), v[2].sub(v[3]));
        let g1 = mix(Self::A * Self::AT_A, even_a, Self::B * Self::AT_B, even_b).add(v[4]);
        [mix(Self::AT_A, odd_a, Self::AT_B, odd_b), g1, g1]
    }
}

/// Changes every column, then every row, of the `from.0` x `from.1` numbers in the corner of a square.
macro_rules! two_dimensions {
    ($square:ident, $from:expr, $to:expr, $one:path) => {{
        let (from, to) = ($from, $to);
        let mut half = [[L::splat(0.0); MAX_POINTS]; MAX_POINTS];
        for j in 0..from {
            let mut column = [L::splat(0.0); _];
            for i in 0..from {
                column[i] = $square[i][j];
            }
            let column = $one(column);
            for i in 0..to {
                half[i][j] = column[i];
            }
        }
        let mut out = [[L::splat(0.0); MAX_POINTS]; MAX_POINTS];
        for i in 0..to {
            let mut row = [L::splat(0.0); _];
            for j in 0..from {
                row[j] = half[i][j];
            }
            let row = $one(row);
            for j in 0..to {
                out[i][j] = row[j];
            }
        }
        out
    }};
}

/// A square of numbers, of which a corner is used.
pub(super) type Square<L> = [[L; MAX_POINTS]; MAX_POINTS];

/// Reads `size` x `size` vectors.
///
/// # Safety
/// They exist.
#[inline(always)]
pub(super) unsafe fn load<L: Lanes>(from: *const f32, size: usize, down: usize, across: usize) -> Square<L> {
    let mut square = [[L::splat(0.0); MAX_POINTS]; MAX_POINTS];
    for i in 0..size {
        for j in 0..size {
            // SAFETY: promised by the caller.
            square[i][j] = unsafe { L::load(from.add(i * down + j * across)) };
        }
    }
    square
}

/// Writes `size` x `size` vectors.
///
/// # Safety
/// Their places exist.
#[inline(always)]
pub(super) unsafe fn store<L: Lanes>(
    square: Square<L>,
    to: *mut f32,
    size: usize,
    down: usize,
    across: usize,
) {
    for i in 0..size {
        for j in 0..size {
            // SAFETY: promised by the caller.
            unsafe { square[i][j].store(to.add(i * down + j * across)) };
        }
    }
}

/// `x` added to each number of the 4 x 4 in the corner.
#[inline(always)]
pub(super) fn shifted<L: Lanes>(mut square: Square<L>, x: L) -> Square<L> {
    for i in 0..OUTPUTS {
        for j in 0..OUTPUTS {
            square[i][j] = square[i][j].add(x);
        }
    }
    square
}

/// `B^T d B`.
#[inline(always)]
pub(super) fn input<T: Transform, L: Lanes>(d: Square<L>) -> Square<L> {
    two_dimensions!(d, T::POINTS, T::POINTS, T::input)
}

/// `A^T v A`.
#[inline(always)]
pub(super) fn output<T: Transform, L: Lanes>(v: Square<L>) -> Square<L> {
    two_dimensions!(v, T::POINTS, OUTPUTS, T::output)
}

/// `A y A^T`.
#[inline(always)]
pub(super) fn output_adjoint<T: Transform, L: Lanes>(y: Square<L>) -> Square<L> {
    two_dimensions!(y, OUTPUTS, T::POINTS, T::output_adjoint)
}

/// `G g G^T`.
#[inline(always)]
pub(super) fn kernel<T: Transform, L: Lanes>(g: Square<L>) -> Square<L> {
    two_dimensions!(g, T::TAPS, T::POINTS, T::kernel)
}

/// `G^T v G`.
#[inline(always)]
pub(super) fn kernel_adjoint<T: Transform, L: Lanes>(v: Square<L>) -> Square<L> {
    two_dimensions!(v, T::POINTS, T::TAPS, T::kernel_adjoint)
}
