// SPDX-License-Identifier: MIT
// The elementary functions of one instruction set. Pieces of an array pass through buffers of
// doubles: widened, evaluated fast, the few that this leaves undecided evaluated again, rounded.
// Takes nothing out of line from the standard library (see contraction.cpp).
#include "../../core/environment.h"
#include "functions_table.h"
#include "functions_task.h"
#include "random_lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int64_t kPiece = kBlock;

/// Some elements, and their random words.
struct Piece {
  RandomEvents random;
  alignas(64) double x[kPiece]{};
  alignas(64) double y[kPiece]{};
};

/// The random source of one element of a piece; events 0 and 1.
struct DrawnBits {
  const Piece& piece;
  int64_t place;
  int bits;

  uint32_t at(int64_t event) const { return *piece.random.words(event, place) >> (32 - bits); }
};

/// y[i] rounds like f(x[i]) wherever at most `digits` digits are compared.
template <Function F>
[[gnu::noinline]] void evaluate_fast(Piece& piece, int64_t count, int digits) {
  for (int64_t i = 0; i < count; ++i) piece.y[i] = fast_function<F>(piece.x[i], digits);
  for (int64_t i = 0; i < count; ++i) {
    if (is_zero(piece.y[i])) piece.y[i] = as_double(evaluate<F>(piece.x[i]));
  }
}

/// y[i] is f(x[i]) rounded (event 0).
template <Function F>
[[gnu::noinline]] void evaluate_all(const UnaryTask& task, Piece& piece, int64_t count) {
  const Arith arith(task.arithmetic, false);
  for (int64_t i = 0; i < count; ++i) {
    DrawnBits random{piece, i, task.arithmetic.stochastic.bits};
    piece.y[i] = rounded_element<F>(piece.x[i], arith, random);
  }
}

/// The instructions that are f themselves, under the ambient rounding.
template <Function F>
[[gnu::noinline]] void evaluate_by_instruction(Piece& piece, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    piece.y[i] = F == Function::Sqrt ? ieee_sqrt(piece.x[i]) : 1.0 / piece.x[i];
  }
}

/// float32 under the ambient rounding.
[[gnu::noinline]] void round_to_float32(const double* y, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = static_cast<float>(y[i]);
}

/// y[i], which stands for f(x[i]), rounded into the accumulator's format (event 0).
[[gnu::noinline]] void round_piece(const UnaryTask& task, Piece& piece, int64_t count) {
  const Arith arith(task.arithmetic, false);
  const Arithmetic& a = task.arithmetic;
  for (int64_t i = 0; i < count; ++i) {
    DrawnBits random{piece, i, a.stochastic.bits};
    const auto operation = static_cast<Operation>(task.function);
    piece.y[i] = soft_round(piece.y[i], a.format, a.rounding, a.stochastic,
                            arith.draw(random, 0, operation, piece.x[i]));
  }
}

template <class T>
[[gnu::noinline]] void store_piece(const UnaryTask& task, const Piece& piece, int64_t first,
                                   int64_t count) {
  const Arith arith(task.arithmetic, false);
  T* out = static_cast<T*>(task.out) + first;
  if (embeds(task.arithmetic.format, kFormatOf<T>)) {
    for (int64_t i = 0; i < count; ++i) fpdet::store(piece.y[i], out[i]);
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    DrawnBits random{piece, i, task.arithmetic.stochastic.bits};
    fpdet::store(convert_result(piece.y[i], kFormatOf<T>, arith, random), out[i]);
  }
}

/// Pieces of a call, whose way is the same for all.
class Pieces {
 public:
  explicit Pieces(const UnaryTask& task)
      : task_(task),
        digits_(digits_compared(task.arithmetic.format, task.arithmetic.rounding,
                                task.arithmetic.stochastic)),
        hardware_(is_hardware(task.arithmetic.rounding)),
        fast_(task.scalar != Scalar::Float64 && embeds(task.arithmetic.format, kFloat32) &&
              digits_ <= kMostFastDigits),
        piece_{{task.source, task.arithmetic.stochastic, events(task)}} {}

  template <Function F, class T>
  void run(int64_t first, int64_t count) {
    const T* x = static_cast<const T*>(task_.x) + first;
    for (int64_t i = 0; i < count; ++i) piece_.x[i] = widen(x[i]);
    piece_.random.enter(first, count);
    const Arithmetic& a = task_.arithmetic;
    if constexpr (F == Function::Sqrt || F == Function::Reciprocal) {
      if (hardware_ && is_float64(a.format)) {
        const EnvironmentGuard guard(a.rounding);
        evaluate_by_instruction<F>(piece_, count);
        return store_piece<T>(task_, piece_, first, count);
      }
    }
    if (!fast_) {
      evaluate_all<F>(task_, piece_, count);
      return store_piece<T>(task_, piece_, first, count);
    }
    evaluate_fast<F>(piece_, count, digits_);
    if (hardware_ && is_float32(a.format)) {
      const EnvironmentGuard guard(a.rounding);
      if constexpr (__is_same(T, float)) {
        return round_to_float32(piece_.y, count, static_cast<float*>(task_.out) + first);
      }
      float rounded[kPiece];
      round_to_float32(piece_.y, count, rounded);
      for (int64_t i = 0; i < count; ++i) piece_.y[i] = static_cast<double>(rounded[i]);
    } else {
      round_piece(task_, piece_, count);
    }
    store_piece<T>(task_, piece_, first, count);
  }

 private:
  /// The events at which core's definition draws by position.
  static uint32_t events(const UnaryTask& task) {
    const Arithmetic& a = task.arithmetic;
    if (a.rounding != Rounding::Stochastic || a.stochastic.keyed_by_operands) return 0;
    return embeds(a.format, format_of(task.scalar)) ? 1 : 3;
  }

  const UnaryTask& task_;
  int digits_;
  bool hardware_, fast_;
  Piece piece_;
};

}  // namespace

void unary(const void* given, int64_t begin, int64_t end) {
  const UnaryTask& task = *static_cast<const UnaryTask*>(given);
  const EnvironmentGuard guard(Rounding::NearestEven);
  Pieces pieces(task);
  with_function(task.function, [&]<Function F>() {
    with_scalar(task.scalar, [&]<class T>(T) {
      for (int64_t i = begin; i < end; i += kPiece) {
        pieces.run<F, T>(i, end - i < kPiece ? end - i : kPiece);
      }
    });
  });
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
