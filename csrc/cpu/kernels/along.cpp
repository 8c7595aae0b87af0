// SPDX-License-Identifier: MIT
// Sums whose terms are neighbours in the operands: lanes are runs, those of one output and of
// others alike; a block of terms of a vector of runs is loaded run by run and transposed. The runs'
// sums then meet in the order's tree.
#include "../../core/reduce.h"
#include "method.h"
#include "sums.h"

namespace fpdet::inline FPDET_TARGET::kernels {
namespace {

constexpr int64_t kShortestRun = 16;                      // terms
constexpr int64_t kAlongOutputs = 8;                      // of an item, at most, in vectors
constexpr int64_t kPartialBytes = int64_t{1} << 18;       // wanted partial sums of an item
constexpr int64_t kMostPartialBytes = kScratchLimit / 2;  // of one output

/// Runs are long stretches of terms that lie side by side.
bool covers(const Task& task) {
  const OrderKind kind = task.order.kind;
  if (!is_sum(task) || task.terms == 0 ||
      (kind != OrderKind::Sequential && kind != OrderKind::Blocked && kind != OrderKind::Split)) {
    return false;
  }
  const Contraction& problem = task.problem;
  const int digit = last_digit(problem.terms);
  const auto bytes = static_cast<int64_t>(sizeof(double));
  return problem.right.term.offset.w[digit] == 1 &&
         (!problem.product || problem.left.term.offset.w[digit] == 1) &&
         task.terms >= kShortestRun * task.runs && task.runs * bytes <= kMostPartialBytes;
}

template <class T>
void plan_along(Task& task) {
  const int64_t outputs = SumGeometry(task).outputs();
  const int64_t fit = at_least(kPartialBytes / (task.runs * static_cast<int64_t>(sizeof(T))), 1);
  int64_t tile = at_most(at_most(fit, kAlongOutputs * kLanes<T>), outputs);
  if (task.tiles.columns > 0) tile = at_most(tile, task.tiles.columns);
  // Vectors stay full where there are outputs enough, or runs.
  const int64_t least = at_least(kLanes<T> / task.runs, 1);
  while (tile >= 2 * least && ceil_div(outputs, tile) < 2 * task.workers) tile = ceil_div(tile, 2);
  task.tile_panels = tile;  // outputs
  task.items = ceil_div(outputs, tile);
  task.scratch_bytes = aligned((task.runs + 1) * tile * static_cast<int64_t>(sizeof(T)));
}

template <class T, class S>
class AlongRunner {
 public:
  AlongRunner(const Task& task, void* scratch)
      : task_(task),
        geometry_(task),
        schedule_(schedule_of(task)),
        partials_(static_cast<T*>(scratch)),
        inner_(last_digit(task.problem.terms)) {}

  void run(int64_t item) {
    const int64_t first = item * task_.tile_panels;
    const int64_t outputs = at_most(task_.tile_panels, geometry_.outputs() - first);
    with_term(task_, [&]<SumTerm M>() { sum<M>(first, outputs); });
  }

 private:
  static constexpr int kW = kLanes<T>;
  static constexpr int64_t kMostOutputs = kAlongOutputs * kW;

  /// Where the next terms of a run lie.
  struct Line {
    SumPlace place;
    Digits digits;
    const S* left;
    const S* right;
    int64_t here;  ///< terms that lie side by side from here on
    int64_t rest;  ///< terms left
    T* partial;
  };

  Line line(const SumPlace& place, const Digits& first, int64_t terms, T* partial) const {
    Line l{place, first, nullptr, nullptr, 0, terms, partial};
    enter(l);
    return l;
  }

  /// The operands of the term that the digits name.
  void enter(Line& l) const {
    const Contraction& c = task_.problem;
    l.left = static_cast<const S*>(task_.left) + l.place.left + c.left.term.offset.dot(l.digits);
    l.right =
        static_cast<const S*>(task_.right) + l.place.right + c.right.term.offset.dot(l.digits);
    l.here = c.terms.d[inner_] - l.digits.d[inner_];
  }

  void advance(Line& l, int64_t n) const {
    l.rest -= n;
    l.here -= n;
    l.left += n;
    l.right += n;
    if (l.here > 0 || l.rest == 0) return;
    const Digits& radix = task_.problem.terms;
    int d = inner_;
    l.digits.d[d] = radix.d[d];
    while (d > 0 && l.digits.d[d] == radix.d[d]) {
      l.digits.d[d--] = 0;
      ++l.digits.d[d];
    }
    enter(l);
  }

  /// kW terms of each line; some of them may lie elsewhere.
  [[gnu::noinline]] void read(Line* lines, int lanes, V<T>* left, V<T>* right) const {
    const bool products = task_.problem.product;
    for (int i = 0; i < lanes; ++i) {
      Line& l = lines[i];
      if (l.here >= kW) {
        right[i] = reinterpret<V<T>>(load_values<T, kW>(l.right));
        if (products) left[i] = reinterpret<V<T>>(load_values<T, kW>(l.left));
        advance(l, kW);
        continue;
      }
      alignas(64) T lefts[kW] = {}, rights[kW];
      for (int t = 0; t < kW; ++t) {
        rights[t] = to_accumulator<T>(*l.right);
        if (products) lefts[t] = to_accumulator<T>(*l.left);
        advance(l, 1);
      }
      right[i] = load<T>(rights);
      left[i] = load<T>(lefts);
    }
  }

  /// The sums of `lanes` runs, all terms of each.
  template <SumTerm M>
  [[gnu::noinline]] void sum_lines(Line* lines, int lanes) const {
    int64_t blocks = lines[0].rest / kW;
    for (int l = 1; l < lanes; ++l) blocks = at_most(blocks, lines[l].rest / kW);
    V<T> acc{}, lefts[kW] = {}, rights[kW] = {};
    for (int64_t b = 0; b < blocks; ++b) {
      read(lines, lanes, lefts, rights);
      V<T> left[kW], right[kW];
#pragma GCC unroll 16
      for (int l = 0; l < kW; ++l) {
        left[l] = lefts[l];
        right[l] = rights[l];
      }
      transpose<T>(right);
      if (M != SumTerm::Plain) transpose<T>(left);
#pragma GCC unroll 16
      for (int t = 0; t < kW; ++t) acc = add_term<M, T>(acc, left[t], right[t]);
    }
    for (int l = 0; l < lanes; ++l) {
      V<T> one = broadcast<T>(acc[l]);
      while (lines[l].rest > 0) {
        V<T> left{};
        if (M != SumTerm::Plain) left = broadcast(to_accumulator<T>(*lines[l].left));
        one = add_term<M, T>(one, left, broadcast(to_accumulator<T>(*lines[l].right)));
        advance(lines[l], 1);
      }
      *lines[l].partial = one[0];
    }
  }

  template <SumTerm M>
  void sum(int64_t first, int64_t outputs) {
    const int64_t runs = task_.runs;
    // A shorter last run is summed apart: lanes of one vector are of one length, or nearly.
    const int64_t alike =
        task_.order.kind == OrderKind::Blocked && schedule_.run(runs - 1).count < task_.order.n
            ? runs - 1
            : runs;
    SumPlace places[kMostOutputs];
    for (int64_t o = 0; o < outputs; ++o) places[o] = geometry_.place(first + o);
    const auto sum_runs = [&](int64_t begin, int64_t end) {
      Line lines[kW];
      int lanes = 0;
      for (int64_t j = begin; j < end; ++j) {
        const Run run = schedule_.run(j);
        const Digits digits = task_.problem.terms.decode(run.first);
        for (int64_t o = 0; o < outputs; ++o) {
          lines[lanes++] = line(places[o], digits, run.count, partials_ + o * runs + j);
          if (lanes == kW || (j + 1 == end && o + 1 == outputs)) {
            sum_lines<M>(lines, lanes);
            lanes = 0;
          }
        }
      }
    };
    sum_runs(0, alike);
    sum_runs(alike, runs);
    fold(places, outputs);
  }

  [[gnu::noinline]] void fold(const SumPlace* places, int64_t outputs) {
    T* results = partials_ + outputs * task_.runs;
    for (int64_t o = 0; o < outputs; ++o) {
      const T* next = partials_ + o * task_.runs;
      results[o] = fold_schedule<T>(
          schedule_, [&](const Run&) { return *next++; }, [](T p, T q, int64_t) { return p + q; });
    }
    int64_t offsets[kMostOutputs];
    for (int64_t o = 0; o < outputs; ++o) offsets[o] = places[o].out;
    convert<T, S>(task_, results, outputs, static_cast<S*>(task_.out), offsets);
  }

  const Task& task_;
  SumGeometry geometry_;
  Schedule schedule_;
  T* partials_;  ///< [output][run], then the results
  int inner_;    ///< digit of the terms
};

}  // namespace

const Method kAlongSums{
    "along",
    covers,
    [](const Task& task) { return task.rows == 1; },
    [](Task& task) { plan_for_accumulator(task, []<class T>(Task& t) { plan_along<T>(t); }); },
    nullptr,
    run_items<AlongRunner>,
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
