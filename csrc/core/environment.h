// SPDX-License-Identifier: MIT
// The ambient floating-point environment (host): MXCSR on x86-64, FPCR on aarch64.
//
// EnvironmentGuard sets the rounding mode of a hardware rounding (to nearest for all others),
// clears flush-to-zero and denormals-are-zero, masks exceptions, and on destruction restores the
// register exactly, also when an exception unwinds. The x87 control word is neither read nor
// written. The arithmetic under a guard belongs into a function that is not inlined into the
// guard's scope and is compiled with -frounding-math: compilers do not order arithmetic against the
// register.
#pragma once

#include "config.h"
#include "rounding.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#elif !defined(__aarch64__)
#error "fpdet: no floating-point control register known for this processor (x86-64 and aarch64 are)"
#endif

namespace fpdet::inline FPDET_TARGET {

inline uint64_t read_environment() {
#if defined(__x86_64__)
  return _mm_getcsr();
#else
  uint64_t fpcr;
  __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
  return fpcr;
#endif
}

inline void write_environment(uint64_t value) {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<unsigned>(value));
#else
  __asm__ volatile("msr fpcr, %0" : : "r"(value));
#endif
  __asm__ volatile("" : : : "memory");
}

// The register's value for a rounding, whatever it held before.
inline uint64_t clean_environment(Rounding rounding) {
#if defined(__x86_64__)
  constexpr uint64_t kMaskExceptions = 0x1f80;  // flush-to-zero (15) and denormals-are-zero (6) off
  constexpr uint64_t kDown = uint64_t{1} << 13, kUp = uint64_t{2} << 13, kZero = uint64_t{3} << 13;
#else
  constexpr uint64_t kMaskExceptions = 0;  // all traps, FZ, FZ16, FIZ, AH and DN off
  constexpr uint64_t kUp = uint64_t{1} << 22, kDown = uint64_t{2} << 22, kZero = uint64_t{3} << 22;
#endif
  switch (rounding) {
    case Rounding::TowardZero:
      return kMaskExceptions | kZero;
    case Rounding::Upward:
      return kMaskExceptions | kUp;
    case Rounding::Downward:
      return kMaskExceptions | kDown;
    default:
      return kMaskExceptions;
  }
}

class EnvironmentGuard {
 public:
  explicit EnvironmentGuard(Rounding rounding) : saved_(read_environment()) {
    write_environment(clean_environment(rounding));
  }
  ~EnvironmentGuard() { write_environment(saved_); }
  EnvironmentGuard(const EnvironmentGuard&) = delete;
  EnvironmentGuard& operator=(const EnvironmentGuard&) = delete;

 private:
  uint64_t saved_;
};

}  // namespace fpdet::inline FPDET_TARGET
