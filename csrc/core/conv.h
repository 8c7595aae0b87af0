// SPDX-License-Identifier: MIT
// Convolution's passes as contractions (contraction.h). This file is their definition.
//
//   N C H W  samples, input channels, input size      K P Q  output channels, output size
//   R S      kernel size                              all sizes have three spatial axes here
//
//   forward      y[n,k,p]  = sum over (c, r)  of w[k,c,r] * x[n,c, p*stride - pad + r*dilation]
//   grad_input   gx[n,c,h] = sum over (k, r)  of w[k,c,r] * gy[n,k, (h + pad - r*dilation)/stride],
//                            only taps r for which the division leaves no remainder
//   grad_weight  gw[k,c,r] = sum over (n, p)  of gy[n,k,p] * x[n,c, p*stride - pad + r*dilation]
//   channel_sum  s[c]      = sum over (n, p)  of y[n,c,p]
//
// C and K are counted within one group.
#pragma once

#include <cstdint>

#include "config.h"
#include "contraction.h"

namespace fpdet::inline FPDET_TARGET {

struct ConvShape {
  int64_t samples = 1, groups = 1;
  int64_t in_channels = 1, out_channels = 1;  ///< C and K of one group
  int64_t in[kAxes] = {1, 1, 1}, kernel[kAxes] = {1, 1, 1}, out[kAxes] = {1, 1, 1};
  int64_t stride[kAxes] = {1, 1, 1}, pad[kAxes] = {0, 0, 0}, dilation[kAxes] = {1, 1, 1};
};

/// Strides in elements of a tensor (N or K, C, three spatial axes).
struct TensorStrides {
  int64_t n = 0, c = 0;
  int64_t x[kAxes] = {0, 0, 0};
};

namespace detail {

inline Digits radix(int64_t first, const int64_t (&axes)[kAxes]) {
  return {{first, axes[0], axes[1], axes[2]}};
}
inline Digits radix(int64_t first) { return {{first, 1, 1, 1}}; }
inline Weights weights(int64_t first, const int64_t (&axes)[kAxes]) {
  return {{first, axes[0], axes[1], axes[2]}};
}
inline Weights leading(int64_t first) { return {{first, 0, 0, 0}}; }

/// Numbers a (channel, spatial...) element of a contiguous sample: weights of the spatial digits.
inline Weights contiguous(int64_t first, const int64_t (&size)[kAxes]) {
  return {{first, size[1] * size[2], size[2], 1}};
}
inline int64_t volume(const int64_t (&size)[kAxes]) { return size[0] * size[1] * size[2]; }

/// x[.., p*stride - pad + r*dilation] with p walked by `by_output` and r by `by_tap`.
inline void window(const ConvShape& s, const TensorStrides& x, Operand& operand, Walk& by_output,
                   Walk& by_tap) {
  for (int i = 0; i < kAxes; ++i) {
    operand.extent[i] = s.in[i];
    operand.origin.x[i] = -s.pad[i];
    operand.origin.offset -= s.pad[i] * x.x[i];
    by_output.step[i] = s.stride[i];
    by_output.offset.w[i + 1] = s.stride[i] * x.x[i];
    by_tap.step[i] = s.dilation[i];
    by_tap.offset.w[i + 1] = s.dilation[i] * x.x[i];
  }
}

inline int64_t greatest_common_divisor(int64_t a, int64_t b) {
  while (b != 0) {
    const int64_t rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

}  // namespace detail

inline Contraction forward_contraction(const ConvShape& s, const TensorStrides& x,
                                       const TensorStrides& w, const TensorStrides& y) {
  Contraction c;
  c.groups = s.groups;
  c.rows = detail::radix(s.out_channels);
  c.cols = detail::radix(s.samples, s.out);
  c.terms = detail::radix(s.in_channels, s.kernel);

  c.left.group_offset = s.out_channels * w.n;
  c.left.outer.offset = detail::leading(w.n);
  c.left.term.offset = detail::weights(w.c, w.x);

  c.right.group_offset = s.in_channels * x.c;
  c.right.outer.offset = detail::leading(x.n);
  c.right.term.offset = detail::leading(x.c);
  detail::window(s, x, c.right, c.right.outer, c.right.term);

  c.out.group_offset = s.out_channels * y.c;
  c.out.row = detail::leading(y.c);
  c.out.col = detail::weights(y.n, y.x);
  c.out.sample_col = detail::leading(1);
  c.out.element_group = s.out_channels * detail::volume(s.out);
  c.out.element_row = detail::leading(detail::volume(s.out));
  c.out.element_col = detail::contiguous(0, s.out);
  return c;
}

/// One contraction for each residue of the input positions modulo the stride: `residue` numbers
/// them in row-major order from 0 to the product of the strides - 1.
inline Contraction grad_input_contraction(const ConvShape& s, const TensorStrides& gy,
                                          const TensorStrides& w, const TensorStrides& gx,
                                          int64_t residue) {
  Contraction c;
  c.groups = s.groups;
  c.rows = detail::radix(s.in_channels);
  c.cols.d[0] = s.samples;
  c.terms.d[0] = s.out_channels;

  c.left.group_offset = s.out_channels * w.n;
  c.left.outer.offset = detail::leading(w.c);
  c.left.term.offset = detail::leading(w.n);

  c.right.group_offset = s.out_channels * gy.c;
  c.right.outer.offset = detail::leading(gy.n);
  c.right.term.offset = detail::leading(gy.c);

  c.out.group_offset = s.in_channels * gx.c;
  c.out.row = detail::leading(gx.c);
  c.out.col = detail::leading(gx.n);
  c.out.sample_col = detail::leading(1);
  c.out.element_group = s.in_channels * detail::volume(s.in);
  c.out.element_row = detail::leading(detail::volume(s.in));
  const Weights number = detail::contiguous(0, s.in);

  for (int i = kAxes - 1; i >= 0; --i) {
    const int64_t stride = s.stride[i];
    const int64_t h0 = residue % stride;  // this class: h = h0, h0 + stride, ...
    residue /= stride;
    c.cols.d[i + 1] = h0 < s.in[i] ? (s.in[i] - 1 - h0) / stride + 1 : 0;
    c.out.base += h0 * gx.x[i];
    c.out.col.w[i + 1] = stride * gx.x[i];
    c.out.element_base += h0 * number.w[i + 1];
    c.out.element_col.w[i + 1] = stride * number.w[i + 1];

    // Taps that meet the grid: r = first, first + tap_step, ...
    const int64_t common = detail::greatest_common_divisor(s.dilation[i], stride);
    const int64_t tap_step = stride / common;
    int64_t first = 0;
    while (first < tap_step && (h0 + s.pad[i] - first * s.dilation[i]) % stride != 0) ++first;
    const bool any = first < tap_step && first < s.kernel[i];
    c.terms.d[i + 1] = any ? (s.kernel[i] - 1 - first) / tap_step + 1 : 0;

    c.left.origin.offset += first * w.x[i];
    c.left.term.offset.w[i + 1] = tap_step * w.x[i];

    const int64_t p0 = any ? (h0 + s.pad[i] - first * s.dilation[i]) / stride : 0;
    const int64_t p_step = -(s.dilation[i] / common);
    c.right.extent[i] = s.out[i];
    c.right.origin.x[i] = p0;
    c.right.origin.offset += p0 * gy.x[i];
    c.right.outer.step[i] = 1;
    c.right.outer.offset.w[i + 1] = gy.x[i];
    c.right.term.step[i] = p_step;
    c.right.term.offset.w[i + 1] = p_step * gy.x[i];
  }
  return c;
}

inline int64_t grad_input_residues(const ConvShape& s) { return detail::volume(s.stride); }

inline Contraction grad_weight_contraction(const ConvShape& s, const TensorStrides& gy,
                                           const TensorStrides& x, const TensorStrides& gw) {
  Contraction c;
  c.groups = s.groups;
  c.rows = detail::radix(s.out_channels);
  c.cols = detail::radix(s.in_channels, s.kernel);
  c.terms = detail::radix(s.samples, s.out);

  c.left.group_offset = s.out_channels * gy.c;
  c.left.outer.offset = detail::leading(gy.c);
  c.left.term.offset = detail::weights(gy.n, gy.x);

  c.right.group_offset = s.in_channels * x.c;
  c.right.outer.offset = detail::leading(x.c);
  c.right.term.offset = detail::leading(x.n);
  detail::window(s, x, c.right, c.right.term, c.right.outer);

  const int64_t taps = detail::volume(s.kernel);
  c.out.group_offset = s.out_channels * gw.n;
  c.out.row = detail::leading(gw.n);
  c.out.col = detail::weights(gw.c, gw.x);
  c.out.element_group = s.out_channels * s.in_channels * taps;
  c.out.element_row = detail::leading(s.in_channels * taps);
  c.out.element_col = detail::contiguous(taps, s.kernel);
  return c;
}

/// The left operand is a single 1; the sum has no products.
inline Contraction channel_sum_contraction(const ConvShape& s, const TensorStrides& gy,
                                           int64_t result_stride) {
  Contraction c;
  c.product = false;
  c.cols = detail::radix(s.groups * s.out_channels);
  c.terms = detail::radix(s.samples, s.out);
  c.right.outer.offset = detail::leading(gy.c);
  c.right.term.offset = detail::weights(gy.n, gy.x);
  c.out.col = detail::leading(result_stride);
  c.out.element_col = detail::leading(1);
  return c;
}

}  // namespace fpdet::inline FPDET_TARGET
