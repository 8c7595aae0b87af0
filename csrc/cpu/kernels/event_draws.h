// SPDX-License-Identifier: MIT
// The random words of the events of outputs, drawn ahead of their terms so that chains of Philox
// overlap: whole blocks of events where the terms are consecutive.
#pragma once

#include "emulated_lanes.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// The random words of two vectors of outputs, and their blocks of events with all that Philox
/// needs at hand.
struct EventSource {
  LaneRandom a, b;
  KeySchedule<RandomWords> schedule;
  RandomWords upper0, upper1;

  explicit EventSource(const StochasticSpec& spec) : a(spec, LaneKey{}), b(spec, LaneKey{}) {}

  void move_to(const ElementKeyOf<RandomWords>& key) {
    a.move_to({{key.key.k0.a, key.key.k1.a}, key.upper0.a, key.upper1.a});
    b.move_to({{key.key.k0.b, key.key.k1.b}, key.upper0.b, key.upper1.b});
    schedule.move_to(key.key);
    upper0 = key.upper0;
    upper1 = key.upper1;
  }
};

/// What is added for whole blocks of events, from the one of the first term on, of two vectors of
/// outputs; variant a, formats inside float32. Returns how many words stand before the first
/// term's.
template <bool Fused, int Width>
[[gnu::noinline]] int64_t draw_blocks(const CutFormat& format, int64_t term, int64_t n,
                                      const EventSource& source, Words* to_a, Words* to_b) {
  constexpr int kTerms = 128 / Width / 2;  // two events each
  const RandomWords upper0 = source.upper0, upper1 = source.upper1;
  const Words mask = as_vector(cut_mask(format, Words{}));
  const uint64_t raise = format.raise;
  const auto put = [&]<int Top>(const RandomWords& raised) {
    *to_a++ = cut_bias_of_lane<Top>(raised.a.v, mask);
    *to_b++ = cut_bias_of_lane<Top>(raised.b.v, mask);
  };
  // The additions' events are odd.
  const auto put_word = [&](const RandomWords& word, bool odd) {
    const RandomWords raised = word << raise;
    if constexpr (Width == 32) {
      if (!Fused || odd) put.template operator()<32>(raised);
    } else if constexpr (Width == 16) {
      if constexpr (!Fused) put.template operator()<16>(raised);
      put.template operator()<32>(raised);
    } else {
      if constexpr (!Fused) put.template operator()<8>(raised);
      put.template operator()<16>(raised);
      if constexpr (!Fused) put.template operator()<24>(raised);
      put.template operator()<32>(raised);
    }
  };
  for (int64_t t = term / kTerms * kTerms; t < term + n; t += kTerms) {
    const auto block = static_cast<uint64_t>(t / kTerms);
    const PhiloxBlockOf<RandomWords> words =
        event_block(ScheduledKey<RandomWords>{source.schedule}, upper0, upper1,
                    spread<RandomWords>(low_word(block)), spread<RandomWords>(high_word(block)));
    put_word(words.w0, false);
    put_word(words.w1, true);
    put_word(words.w2, false);
    put_word(words.w3, true);
  }
  return term % kTerms * (Fused ? 1 : 2);
}

inline bool consecutive(const int64_t* numbers, int64_t n) {
  bool yes = true;
  for (int64_t i = 1; i < n; ++i) yes &= numbers[i] == numbers[i - 1] + 1;
  return yes;
}

/// Writes what the roundings of n terms add, of two vectors of outputs, from the returned place on:
/// of a fused term one word, else two.
template <bool Fused>
int64_t draw_terms(const CutFormat& format, const int64_t* numbers, int64_t n, EventSource& source,
                   Words* to_a, Words* to_b) {
  if (n > 1 && format.spec.variant == 'a' && consecutive(numbers, n)) {
    switch (lane_width(format.spec.bits)) {
      case 8:
        return draw_blocks<Fused, 8>(format, numbers[0], n, source, to_a, to_b);
      case 16:
        return draw_blocks<Fused, 16>(format, numbers[0], n, source, to_a, to_b);
      default:
        return draw_blocks<Fused, 32>(format, numbers[0], n, source, to_a, to_b);
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t event = 2 * numbers[i] + (Fused ? 1 : 0); event < 2 * numbers[i] + 2; ++event) {
      *to_a++ = cut_bias(format, source.a.at(event).v);
      *to_b++ = cut_bias(format, source.b.at(event).v);
    }
  }
  return 0;
}

}  // namespace fpdet::inline FPDET_TARGET::kernels
