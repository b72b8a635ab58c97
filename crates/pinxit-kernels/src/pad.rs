//! Images with zeros around them.

use crate::buffer::unwritten;
use crate::simd::vectorised;
use crate::threads;
use std::borrow::Cow;

/// The planes of `x`, `from` in size, set into planes of zeros of the size `to` at (`top`, `top`).
pub(crate) fn pad(x: &[f32], from: [usize; 2], to: [usize; 2], top: [usize; 2]) -> Cow<'_, [f32]> {
    if from == to {
        return Cow::Borrowed(x);
    }
    let (area, padded) = (from[0] * from[1], to[0] * to[1]);
    let mut out = unwritten(x.len() / area.max(1) * padded);
    let len = out.len();
    threads::for_each_block([&mut out], [padded], len, |plane, [out]| {
        pad_plane(&x[plane * area..][..area], out, from[1], to[1], top);
    });
    Cow::Owned(out)
}

vectorised! {
    fn pad_plane(x: &[f32], out: &mut [f32], from: usize, to: usize, top: [usize; 2]) {
        const VECTOR: usize = 16;
        out.fill(0.0);
        for (row, out) in x.chunks_exact(from).zip(out.chunks_exact_mut(to).skip(top[0])) {
            let out = &mut out[top[1]..top[1] + from];
            let (vectors, rest) = row.as_chunks::<VECTOR>();
            let (to, to_rest) = out.as_chunks_mut::<VECTOR>();
            to.copy_from_slice(vectors);
            to_rest.iter_mut().zip(rest).for_each(|(y, x)| *y = *x);
        }
    }
}
