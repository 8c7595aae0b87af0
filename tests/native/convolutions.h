// SPDX-License-Identifier: MIT
// Small convolutions and all of their passes: what programs that compare ways to compute them
// share.
#pragma once

#include <vector>

#include "calls/contraction.h"
#include "core/conv.h"
#include "digest.h"
#include "loops.h"

namespace native {

using namespace fpdet;

enum class Layout { Contiguous, ChannelsLast, GapAfterLine };

struct Case {
  const char* name;
  ConvShape shape;
  Layout layout = Layout::Contiguous;
};

inline ConvShape conv(int64_t samples, int64_t groups, int64_t c, int64_t k,
                      std::vector<int64_t> in, int64_t kernel, int64_t stride, int64_t pad,
                      int64_t dilation) {
  ConvShape s;
  s.samples = samples;
  s.groups = groups;
  s.in_channels = c;
  s.out_channels = k;
  const size_t skip = static_cast<size_t>(kAxes) - in.size();
  for (size_t i = 0; i < in.size(); ++i) {
    s.in[skip + i] = in[i];
    s.kernel[skip + i] = kernel;
    s.stride[skip + i] = stride;
    s.pad[skip + i] = pad;
    s.dilation[skip + i] = dilation;
    s.out[skip + i] = (in[i] + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  }
  return s;
}

inline TensorStrides strides(int64_t channels, const int64_t (&size)[kAxes], Layout layout) {
  const bool channels_last = layout == Layout::ChannelsLast;
  const int64_t line = size[2] + (layout == Layout::GapAfterLine ? 1 : 0);
  const int64_t step = channels_last ? channels : 1;
  TensorStrides t;
  t.x[0] = size[1] * line * step;
  t.x[1] = line * step;
  t.x[2] = step;
  t.c = channels_last ? 1 : size[0] * t.x[0];
  t.n = channels_last ? size[0] * t.x[0] : channels * t.c;
  return t;
}

/// Near one, or (wild) everything: subnormals, infinities, few digits, zeros.
template <class T>
std::vector<T> values(Generator& random, int64_t count, bool wild) {
  std::vector<T> result(static_cast<size_t>(count));
  for (T& x : result) {
    const double value = wild ? random.any() : random.near_one();
    store(soft_round(value, kFormatOf<T>, Rounding::NearestEven), x);
  }
  return result;
}

/// All passes of one convolution; `left` and `right` as forward, grad_input and grad_weight have
/// them.
template <class T>
class Convolution {
 public:
  Convolution(const Case& test, Generator& random, bool wild) : s_(test.shape) {
    const int64_t c = s_.groups * s_.in_channels, k = s_.groups * s_.out_channels;
    in_ = strides(c, s_.in, test.layout);
    out_ = strides(k, s_.out, test.layout);
    weight_ = strides(s_.in_channels, s_.kernel, test.layout);
    x_ = values<T>(random, s_.samples * in_.n, wild);
    w_ = values<T>(random, k * weight_.n, wild);
    g_ = values<T>(random, s_.samples * out_.n, wild);
    bias_ = values<T>(random, k, wild);
    store(1.0, one_);
  }

  /// `run` says whether it has carried out a pass; the result of one that it has not is empty.
  template <class Run>
  std::vector<std::vector<T>> passes(ContractionCall call, const Run& run) const {
    std::vector<std::vector<T>> results;
    const auto pass = [&](size_t size) {
      results.emplace_back(size);
      call.out = results.back().data();
      if (!run(call)) results.back().clear();
    };
    call.problem = forward_contraction(s_, in_, weight_, out_);
    call.left = w_.data();
    call.right = x_.data();
    call.bias = bias_.data();
    pass(g_.size());

    call.bias = nullptr;
    call.right = g_.data();
    call.problem = grad_input_contraction(s_, out_, weight_, in_, 0);
    for (int64_t residue = 1; residue < grad_input_residues(s_); ++residue) {
      call.rest.push_back(grad_input_contraction(s_, out_, weight_, in_, residue));
    }
    pass(x_.size());
    call.rest.clear();

    call.problem = grad_weight_contraction(s_, out_, in_, weight_);
    call.left = g_.data();
    call.right = x_.data();
    pass(w_.size());

    call.problem = channel_sum_contraction(s_, out_, 1);
    call.left = &one_;
    call.right = g_.data();
    pass(bias_.size());
    return results;
  }

 private:
  ConvShape s_;
  TensorStrides in_, out_, weight_;
  std::vector<T> x_, w_, g_, bias_;
  T one_{};
};

/// Passes that b lacks aside.
template <class T>
bool equal(const std::vector<std::vector<T>>& a, const std::vector<std::vector<T>>& b) {
  for (size_t pass = 0; pass < a.size(); ++pass) {
    for (size_t i = 0; i < b[pass].size(); ++i) {
      if (!native::same(widen(a[pass][i]), widen(b[pass][i]))) return false;
    }
  }
  return a.size() == b.size();
}

}  // namespace native
