// SPDX-License-Identifier: MIT
// Argument checks and the way from torch tensors to plain descriptions.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/Exception.h>

#include <optional>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "../core/element.h"
#include "../core/words.h"
#include "../cpu/contraction.h"
#include "gpu.h"

namespace fpdet::torch_ops {

using torch::stable::Tensor;

inline Scalar scalar_of(const Tensor& tensor, const char* name) {
  using torch::headeronly::ScalarType;
  switch (tensor.scalar_type()) {
    case ScalarType::Double:
      return Scalar::Float64;
    case ScalarType::Float:
      return Scalar::Float32;
    case ScalarType::BFloat16:
      return Scalar::BFloat16;
    case ScalarType::Half:
      return Scalar::Float16;
    default:
      STD_TORCH_CHECK(false, "fpdet: ", name,
                      ": expected dtype float64, float32, bfloat16 or float16, got ",
                      torch::headeronly::toString(tensor.scalar_type()));
  }
}

/// The element type with this name.
inline Scalar scalar_named(const std::string& dtype) {
  for (const Scalar scalar :
       {Scalar::Float64, Scalar::Float32, Scalar::BFloat16, Scalar::Float16}) {
    if (parse_format(dtype) == format_of(scalar)) return scalar;
  }
  STD_TORCH_CHECK(false, "fpdet: dtype: expected float64, float32, bfloat16 or float16, got ",
                  dtype);
}

inline void check_cpu(const Tensor& tensor, const char* name) {
  STD_TORCH_CHECK(
      tensor.is_cpu(), "fpdet: ", name,
      ": expected a CPU tensor (this op has kernels for no other device yet), got another "
      "device");
}

/// On the CPU, or on a GPU where this build has kernels for it.
inline void check_device(const Tensor& tensor, const char* name) {
  STD_TORCH_CHECK(tensor.is_cpu() || (kHasCuda && tensor.is_cuda()), "fpdet: ", name,
                  ": expected a tensor on the CPU", kHasCuda ? " or a CUDA device" : "",
                  ", got another device");
}

inline void check_same_device(const Tensor& a, const char* a_name, const Tensor& b,
                              const char* b_name) {
  STD_TORCH_CHECK(a.device() == b.device(), "fpdet: ", b_name, ": expected the device of ", a_name,
                  ", got another one");
}

inline void check_same_scalar(const Tensor& a, const char* a_name, const Tensor& b,
                              const char* b_name) {
  STD_TORCH_CHECK(a.scalar_type() == b.scalar_type(), "fpdet: ", b_name, ": expected dtype ",
                  torch::headeronly::toString(a.scalar_type()), " as ", a_name, " has, got ",
                  torch::headeronly::toString(b.scalar_type()));
}

inline void check_terms(int64_t terms) {
  STD_TORCH_CHECK(terms <= kMaxTerms, "fpdet: one reduction has ", terms,
                  " terms, expected at most 2^31");
}

/// The words of an op's `arithmetic` argument, an error of torch's type if they do not parse.
/// Call after call says the same few: they are kept. The result is valid until the next call.
inline const ParsedArithmetic& arithmetic_from(const std::string& words) {
  constexpr size_t kMost = 64;
  thread_local std::unordered_map<std::string, ParsedArithmetic> kept;
  const auto found = kept.find(words);
  if (found != kept.end()) return found->second;
  try {
    ParsedArithmetic parsed = parse_arithmetic(words);
    if (kept.size() == kMost) kept.clear();
    return kept.emplace(words, std::move(parsed)).first->second;
  } catch (const std::invalid_argument& error) {
    STD_TORCH_CHECK(false, error.what());
  }
}

/// The arithmetic of a primitive's forward pass: its argument may be "forward | grad_input |
/// grad_weight". What the derivatives will use must parse as well.
inline const ParsedArithmetic& forward_arithmetic_from(const std::string& words) {
  constexpr std::string_view kSeparator = " | ";
  if (words.find(kSeparator) == words.npos) return arithmetic_from(words);
  thread_local std::string kept_words;
  thread_local std::optional<ParsedArithmetic> kept;
  if (kept.has_value() && words == kept_words) return *kept;
  std::vector<ParsedArithmetic> parts;
  for (size_t begin = 0; begin != words.npos;) {
    const size_t end = words.find(kSeparator, begin);
    parts.push_back(arithmetic_from(words.substr(begin, end - begin)));
    begin = end == words.npos ? end : end + kSeparator.size();
  }
  STD_TORCH_CHECK(parts.size() == 3, "fpdet: arithmetic: expected one, or those of forward, ",
                  "grad_input and grad_weight, separated by ' | '; got '", words, "'");
  kept = parts[0];
  kept_words = words;
  return *kept;
}

/// `draw` is an int64 tensor (seed, counter), on the CPU or where `like` is; without it the
/// Arithmetic's seed and counter 0.
inline Draw draw_from(const std::optional<Tensor>& draw, const StochasticSpec& spec,
                      int64_t pass_tag, int64_t batch_offset, const Tensor* like = nullptr) {
  Draw result{spec.seed, 0, static_cast<uint32_t>(pass_tag), batch_offset, nullptr};
  if (!draw.has_value()) return result;
  const bool beside = like != nullptr && like->is_cuda() && draw->device() == like->device();
  STD_TORCH_CHECK(draw->scalar_type() == torch::headeronly::ScalarType::Long && draw->dim() == 1 &&
                      draw->size(0) == 2 && (draw->is_cpu() || beside),
                  "fpdet: draw: expected an int64 tensor of 2 elements (seed, counter), on the CPU "
                  "or on the operands' device");
  const auto* values = static_cast<const int64_t*>(draw->const_data_ptr());
  if (beside) {
    STD_TORCH_CHECK(draw->stride(0) == 1, "fpdet: draw: expected stride 1, got ", draw->stride(0));
    result.on_device = values;
  } else {
    result.seed = static_cast<uint64_t>(values[0]);
    result.counter = static_cast<uint64_t>(values[draw->stride(0)]);
  }
  return result;
}

}  // namespace fpdet::torch_ops
