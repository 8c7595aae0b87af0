// SPDX-License-Identifier: MIT
// Work items of the direct method (direct.h): boxes of outputs of one group and sample, or of a few
// samples where boxes are small.
#pragma once

#include "direct_plan.h"
#include "left.h"
#include "output.h"
#include "run_steps.h"

namespace fpdet::inline FPDET_TARGET::kernels {

template <class T, class S>
class DirectRunner {
 public:
  DirectRunner(const Task& task, void* scratch)
      : DirectRunner(task, scratch, direct_samples<T>(task, direct_box<T>(task))) {}

  DirectRunner(const Task& task, void* scratch, int64_t samples)
      : task_(task),
        all_(all_columns(Parts(task))),
        box_(direct_box<T>(task)),
        boxes_(Parts(task), box_),
        layout_(Parts(task), box_),
        samples_(samples),
        planes_(static_cast<T*>(scratch)),
        copier_(task.problem, layout_, planes_, samples, boxes_.product() == 1) {
    const DirectSizes<T> sizes(task, box_, samples);
    Carver carver(scratch);
    carver.take(sizes.planes);
    auto* left = carver.take<T>(sizes.left);
    bias_ = carver.take<T>(sizes.bias);
    stack_ = carver.take<T>(sizes.stack);
    auto* offsets = carver.take<int32_t>(sizes.terms);
    auto* left_terms = carver.take<int64_t>(sizes.left_terms);
    auto* steps = carver.take<Step>(sizes.steps);
    spots_ = carver.take<Spot>(sizes.spots);

    const Parts parts(task);
    for (int64_t i = 0; i < parts.count; ++i) {
      const int64_t terms = parts[i].terms.product();
      const int64_t step_count = list_terms(parts[i], terms, offsets, left_terms, steps);
      parts_[i] = {terms, step_count, steps, offsets, left_terms, left};
      const int64_t room = at_least(terms, 1);
      steps += room;
      offsets += room;
      left_terms += room;
      left += room * task.rows;
    }
    for (int l = 0; l < kLanes<T>; ++l) lane_offsets_[l] = l * task.problem.out.col.w[3];
    list_spots(box_);
  }

  void run(int64_t item) {
    const At at = locate(item);
    load(at);
    const Parts parts(task_);
    const Digits col{{at.sample, at.first.x[0], at.first.x[1], at.first.x[2]}};
    for (int64_t i = 0; i < parts.count; ++i) {
      const Digits& cols = parts[i].cols;
      const Box size = size_of(Box{{cols.d[1], cols.d[2], cols.d[3]}}, at.first);
      if (size.x[0] <= 0 || size.x[1] <= 0 || size.x[2] <= 0) continue;
      if (!listed(size)) list_spots(size);
      S* out =
          static_cast<S*>(task_.out) + parts[i].out.offset(at.group, Digits{{0, 0, 0, 0}}, col);
      const Calls calls{at.samples, size, takes_turns(parts, i, at.first, size)};
      for (int64_t tile = 0; tile < task_.row_tiles; ++tile) {
        if (task_.arithmetic.fused) {
          multiply<true>(i, row_tile(task_, tile), calls, out);
        } else {
          multiply<false>(i, row_tile(task_, tile), calls, out);
        }
      }
      i += calls.in_turn;
    }
  }

 protected:
  /// A work item's group, samples and first output.
  struct At {
    Box first;
    int64_t group, sample, samples;
  };
  At locate(int64_t item) const {
    At at;
    for (int i = kAxes - 1; i >= 0; --i) {
      at.first.x[i] = 0;
      if (boxes_.count[i] == 1) continue;
      at.first.x[i] = item % boxes_.count[i] * box_.x[i];
      item /= boxes_.count[i];
    }
    // One sample after another where each has items of its own: its planes lie side by side.
    const int64_t all = task_.problem.cols.d[0], parts = ceil_div(all, samples_);
    at.group = parts == all ? item % task_.problem.groups : item / parts;
    at.sample = (parts == all ? item / task_.problem.groups : item % parts) * samples_;
    at.samples = at_most(samples_, all - at.sample);
    return at;
  }

  /// Its operands.
  void load(const At& at) {
    if (at.group != group_) begin_group(at.group);
    const Operand& right = task_.problem.right;
    int64_t zero = right.origin.offset;  // of coordinates 0
    for (int i = 0; i < kAxes; ++i) zero -= right.origin.x[i] * layout_.axis[i].memory;
    zero += at.group * right.group_offset + at.sample * right.outer.offset.w[0];
    const S* data = static_cast<const S*>(task_.right) + zero;
    const Box size = size_of(all_, at.first);
    for (int64_t i = 0; i < at.samples; ++i) {
      copier_.copy(data + i * right.outer.offset.w[0], at.first, size, i);
    }
  }

  struct Part {
    int64_t terms, step_count;
    const Step* steps;
    const int32_t* offsets;
    const int64_t* left_terms;
    T* left;  ///< [tile][term][row of the tile]
  };

  /// Outputs from `first` on that lie in the box and among `all`.
  Box size_of(const Box& all, const Box& first) const {
    Box size;
    for (int i = 0; i < kAxes; ++i) size.x[i] = at_most(box_.x[i], all.x[i] - first.x[i]);
    return size;
  }

  /// Distances of the terms in the sequence in which they are visited, and their steps.
  int64_t list_terms(const Contraction& c, int64_t terms, int32_t* offsets, int64_t* left_terms,
                     Step* steps) const {
    if (terms == 0) {
      *steps = {0, 1, 0, 0, true};
      return 1;
    }
    const Schedule schedule(task_.order, terms, task_.permutation);
    return RunSteps(schedule).next(terms, steps, [&](int64_t first, int64_t stride, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        const Digits term = c.terms.decode(schedule.term(first + i * stride));
        *offsets++ = static_cast<int32_t>(layout_.offset(c.right, term));
        *left_terms++ = c.left.term.offset.dot(term);
      }
    });
  }

  /// The left operand of a group as [tile][term][row of the tile], and its biases.
  void begin_group(int64_t group) {
    group_ = group;
    const Parts parts(task_);
    for (int64_t i = 0; i < parts.count; ++i) {
      const Part& part = parts_[i];
      const Operand& left = parts[i].left;
      const int64_t row = left.outer.offset.w[0];
      const S* data =
          static_cast<const S*>(task_.left) + (group * left.group_offset + left.origin.offset);
      for (int64_t j = 0; j < task_.row_tiles; ++j) {
        const RowTile tile = row_tile(task_, j);
        T* to = part.left + tile.first * part.terms;
        const S* from = data + tile.first * row;
        for (int64_t t = 0; t < part.terms; ++t) {
          for (int r = 0; r < tile.rows; ++r) {
            *to++ = to_accumulator<T>(from[r * row + part.left_terms[t]]);
          }
        }
      }
    }
    if (task_.bias == nullptr) return;
    for (int64_t r = 0; r < task_.rows; ++r) {
      const int64_t number = group * task_.rows + r;
      bias_[r] = to_accumulator<T>(static_cast<const S*>(task_.bias)[number * task_.bias_stride]);
    }
  }

  /// Whether the list of spots begins with those of this box.
  bool listed(const Box& box) const {
    const Box& all = listed_box_;
    return box.x[2] == all.x[2] && ((box.x[1] == all.x[1] && box.x[0] <= all.x[0]) ||
                                    (box.x[1] <= all.x[1] && box.x[0] == 1 && all.x[0] == 1));
  }

  void list_spots(const Box& box) {
    constexpr int64_t kW = kLanes<T>;
    listed_box_ = box;
    const Weights& out = task_.problem.out.col;
    Spot* spot = spots_;
    for (int64_t n = 0; n < samples_; ++n) {
      for (int64_t x0 = 0; x0 < box.x[0]; ++x0) {
        for (int64_t x1 = 0; x1 < box.x[1]; ++x1) {
          for (int64_t x2 = 0; x2 < box.x[2]; x2 += kW, ++spot) {
            // The last vector of a row lies back over its neighbour: equal outputs, twice.
            const int64_t x = at_least(at_most(x2, box.x[2] - kW), 0);
            spot->plane = static_cast<int32_t>(n * layout_.size() + layout_.position(x0, x1, x));
            spot->lanes = static_cast<int32_t>(at_most(box.x[2], kW));
            spot->inner = x0 * out.w[1] + x1 * out.w[2] + x * out.w[3];
            spot->out = n * out.w[0] + spot->inner;
          }
        }
      }
    }
  }

  DirectArguments<T> arguments(const Part& part, const RowTile& tile) const {
    DirectArguments<T> a;
    a.steps = part.steps;
    a.step_count = part.step_count;
    a.offsets = part.offsets;
    a.planes = planes_;
    a.left = part.left + tile.first * part.terms;
    a.bias = task_.bias == nullptr ? nullptr : bias_ + tile.first;
    a.stack = stack_;
    a.out = nullptr;
    a.out_row = task_.problem.out.row.w[0];
    a.out_end = 0;
    return a;
  }

  /// The outputs of a part, or of two that take turns.
  struct Calls {
    int64_t samples;
    Box size;
    bool in_turn;
  };

  /// f(first spot, spots, those of a call) for the spots of a box, a call at a time.
  template <class F>
  void for_calls(const RowTile& tile, const Calls& calls, const F& f) {
    const Box& size = calls.size;
    const int64_t spots = calls.samples * size.x[0] * size.x[1] * ceil_div(size.x[2], kLanes<T>);
    const int most = direct_vectors(tile.rows);
    for (int64_t v = 0; v < spots; v += most) {
      int vectors = most;
      if (tile.rows <= 2 && spots - v <= most / 2) vectors = most / 2;
      f(spots - v < vectors ? last_spots(v, spots, vectors) : spots_ + v,
        static_cast<int>(at_most(spots - v, vectors)), vectors);
    }
  }

  /// Whether part i's outputs and the next part's alternate along the last axis.
  bool takes_turns(const Parts& parts, int64_t i, const Box& first, const Box& size) const {
    if constexpr (!__is_same(T, S)) return false;
    if (i + 1 == parts.count || task_.problem.out.col.w[3] != 2) return false;
    const Digits& cols = parts[i + 1].cols;
    const Box next = size_of(Box{{cols.d[1], cols.d[2], cols.d[3]}}, first);
    return parts[i + 1].out.base == parts[i].out.base + 1 && next.x[0] == size.x[0] &&
           next.x[1] == size.x[1] && next.x[2] == size.x[2] && 2 * size.x[2] >= kLanes<T>;
  }

  template <bool Fused>
  void multiply_in_turn(int64_t i, const RowTile& tile, const Calls& calls, T* out) {
    constexpr int kW = kLanes<T>, kLine = 64 / static_cast<int>(sizeof(T));
    DirectArguments<T> a = arguments(parts_[i], tile);
    DirectArguments<T> b = arguments(parts_[i + 1], tile);
    b.stack += kDirectStack * kW;
    out += tile.first * a.out_row;
    for_calls(tile, calls, [&](const Spot* spots, int n, int vectors) {
      a.spots = b.spots = spots;
      const Direct<T> direct = find_direct<T, Fused>(tile.rows, vectors);
      // Lines of outputs, which lie two steps apart, are on their way while their sums are formed.
      for (int r = 0; r < tile.rows; ++r) {
        for (int v = 0; v < n; ++v) {
          const T* to = out + (r * a.out_row + spots[v].out);
          for (int i = 0; i <= 2 * kW; i += kLine) __builtin_prefetch(to + i, 1, 3);
        }
      }
      direct(a);
      direct(b);
      for (int r = 0; r < tile.rows; ++r) {
        for (int v = 0; v < n; ++v) {
          const int64_t sums = (r * vectors + v) * kW;
          store_in_turn<T>(out + (r * a.out_row + spots[v].out), kernels::load<T>(a.stack + sums),
                           kernels::load<T>(b.stack + sums), spots[v].lanes);
        }
      }
    });
  }

  template <bool Fused>
  void multiply(int64_t i, const RowTile& tile, const Calls& calls, S* out) {
    if constexpr (__is_same(T, S)) {
      if (calls.in_turn) {
        multiply_in_turn<Fused>(i, tile, calls, out);
        return;
      }
    }
    const Box& size = calls.size;
    const Output& output = task_.problem.out;
    DirectArguments<T> a = arguments(parts_[i], tile);
    out += tile.first * a.out_row;
    if constexpr (__is_same(T, S)) {
      if (output.col.w[3] == 1) a.out = out;
    }
    const bool dense = (size.x[1] == 1 || output.col.w[2] == size.x[2]) &&
                       (size.x[0] == 1 || output.col.w[1] == size.x[1] * size.x[2]);
    a.out_end = dense ? size.x[0] * size.x[1] * size.x[2] : 0;

    for_calls(tile, calls, [&](const Spot* spots, int n, int vectors) {
      a.spots = spots;
      find_direct<T, Fused>(tile.rows, vectors)(a);
      if (a.out == nullptr) put(tile, spots, n, vectors, out, a.out_end);
    });
  }

  /// Writes sums that are not elements as they are, or do not lie side by side.
  void put(const RowTile& tile, const Spot* spots, int n, int vectors, S* out, int64_t end) {
    const Output& output = task_.problem.out;
    const int64_t out_row = output.row.w[0];
    if constexpr (sizeof(T) == 4 && sizeof(S) == 2) {
      if (output.col.w[3] == 1) {
        with_rounding(task_.arithmetic.rounding, [&]<Rounding R>() {
          if constexpr (is_hardware(R)) {
            for (int r = 0; r < tile.rows; ++r) {
              put_spots<R>(stack_ + r * vectors * kLanes<T>, n, spots, out + r * out_row, end);
            }
          }
        });
        return;
      }
    }
    for (int r = 0; r < tile.rows; ++r) {
      for (int i = 0; i < n; ++i) {
        convert<T, S>(task_, stack_ + (r * vectors + i) * kLanes<T>, spots[i].lanes,
                      out + (r * out_row + spots[i].out), lane_offsets_);
      }
    }
  }

  /// Spots v to the last one, which is repeated.
  const Spot* last_spots(int64_t v, int64_t spots, int vectors) {
    for (int i = 0; i < vectors; ++i) last_[i] = spots_[at_most(v + i, spots - 1)];
    return last_;
  }

  const Task& task_;
  Box all_, box_;
  DirectBoxes boxes_;
  PlaneLayout<T> layout_;
  int64_t samples_;
  T* planes_;
  PlaneCopier<T, S> copier_;
  Part parts_[kDirectParts];
  T* bias_;
  T* stack_;
  Spot* spots_;
  Spot last_[direct_vectors(1)];
  Box listed_box_;
  int64_t group_ = -1;
  int64_t lane_offsets_[kLanes<T>];
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
