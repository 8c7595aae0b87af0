// SPDX-License-Identifier: MIT
// Packing: block[t][lane] = operand(lane's row or column, term t), +0 outside the operand.
//
// Both sides of an element's place are lists (of rows or columns, and of terms in visiting order);
// the place is the sum of one entry of each. One list is walked by vectors: cut into pieces whose
// offsets are an arithmetic progression, a vector is one masked load per piece. Walking columns
// gives block rows at once; walking terms gives them after a transposition. Masks depend only on
// the coordinates that can leave the operand, so entries are numbered by these ("class") and a mask
// is made once per class.
#pragma once

#include <cstdint>

#include "../../core/contraction.h"
#include "vec.h"

namespace fpdet::inline FPDET_TARGET::kernels {

/// One entry of a list of rows, columns or terms.
struct Entry {
  int64_t offset;
  int64_t x[kAxes];  ///< 0 on axes on which no element of the operand's use lies outside
};

struct PlaceList {
  Entry* entry = nullptr;
  int32_t* kind = nullptr;            ///< class of each entry
  int32_t* representative = nullptr;  ///< an entry of each class
  int32_t kinds = 0;
  int64_t count = 0;

  static constexpr int64_t kBytesPerEntry = sizeof(Entry) + 2 * sizeof(int32_t);

  /// Lays the arrays into memory for `capacity` entries.
  void place(char* memory, int64_t capacity) {
    entry = reinterpret_cast<Entry*>(memory);
    kind = reinterpret_cast<int32_t*>(memory + capacity * static_cast<int64_t>(sizeof(Entry)));
    representative = kind + capacity;
  }
};

/// Axes of an operand on which some (outer, term) pair lies outside.
struct UnsafeAxes {
  bool axis[kAxes];

  UnsafeAxes(const Operand& operand, const Digits& outer, const Digits& terms) {
    for (int i = 0; i < kAxes; ++i) {
      int64_t low = operand.origin.x[i], high = low;
      const int64_t reach[2] = {operand.outer.step[i] * (outer.d[i + 1] - 1),
                                operand.term.step[i] * (terms.d[i + 1] - 1)};
      for (const int64_t r : reach) (r < 0 ? low : high) += r;
      axis[i] = low < 0 || high >= operand.extent[i];
    }
  }
};

/// Walks numbers in a mixed radix and appends their places to a list.
class PlaceWriter {
 public:
  PlaceWriter(const Walk& walk, const Place& origin, const Digits& radix, const UnsafeAxes& unsafe,
              PlaceList& list)
      : walk_(walk), origin_(origin), radix_(radix), unsafe_(unsafe), list_(list) {
    list.count = 0;
    int64_t kinds = 1;
    for (int i = kAxes - 1; i >= 0; --i) {
      kind_weight_[i] = unsafe.axis[i] ? kinds : 0;
      if (unsafe.axis[i]) kinds = kinds > kManyKinds ? kinds : kinds * radix.d[i + 1];
    }
    kinds_ = kinds;
  }

  /// Numbers first, first + 1, ...
  void append_range(int64_t first, int64_t count) {
    Digits digits = radix_.decode(first);
    for (int64_t i = 0; i < count; ++i, radix_.advance(digits)) write(digits);
  }
  void append(int64_t number) { write(radix_.decode(number)); }

  /// Numbers the classes; call once after the last append.
  void finish() {
    const int64_t n = list_.count;
    if (kinds_ > n || kinds_ > kManyKinds) {
      for (int64_t i = 0; i < n; ++i) {
        list_.kind[i] = list_.representative[i] = static_cast<int32_t>(i);
      }
      list_.kinds = static_cast<int32_t>(n);
      return;
    }
    list_.kinds = static_cast<int32_t>(kinds_);
    for (int64_t k = 0; k < kinds_; ++k) list_.representative[k] = 0;  // some kinds may not occur
    for (int64_t i = 0; i < n; ++i) list_.representative[list_.kind[i]] = static_cast<int32_t>(i);
  }

 private:
  static constexpr int64_t kManyKinds = 4096;

  void write(const Digits& digits) {
    const int64_t i = list_.count++;
    Entry& e = list_.entry[i];
    e.offset = origin_.offset + walk_.offset.dot(digits);
    int64_t kind = 0;
    for (int a = 0; a < kAxes; ++a) {
      e.x[a] = unsafe_.axis[a] ? origin_.x[a] + walk_.step[a] * digits.d[a + 1] : 0;
      kind += kind_weight_[a] * digits.d[a + 1];
    }
    list_.kind[i] = static_cast<int32_t>(kind);
  }

  const Walk& walk_;
  Place origin_;
  Digits radix_;
  UnsafeAxes unsafe_;
  PlaceList& list_;
  int64_t kind_weight_[kAxes];
  int64_t kinds_;
};

/// Lanes [begin, end) of a vector: arithmetic progressions of offset and last coordinate.
struct Piece {
  int begin, end;
  Entry first;     ///< extrapolated to lane 0
  int64_t stride;  ///< of the offset
  int64_t step;    ///< of coordinate 2
};

/// Cuts n entries into pieces.
inline int make_pieces(const Entry* e, int n, Piece* pieces) {
  int count = 0;
  for (int i = 0; i < n;) {
    Piece& p = pieces[count++];
    p.begin = i;
    p.first = e[i];
    p.stride = 1;
    p.step = 0;
    int j = i + 1;
    if (j < n) {
      const int64_t stride = e[j].offset - e[i].offset, step = e[j].x[2] - e[i].x[2];
      while (j < n && e[j].x[0] == e[i].x[0] && e[j].x[1] == e[i].x[1] &&
             e[j].offset - e[j - 1].offset == stride && e[j].x[2] - e[j - 1].x[2] == step) {
        ++j;
      }
      if (j > i + 1) {
        p.stride = stride;
        p.step = step;
      }
    }
    p.end = i = j;
    p.first.offset -= p.begin * p.stride;
    p.first.x[2] -= p.begin * p.step;
  }
  return count;
}

struct Extent {
  int64_t x[kAxes];
};

inline int64_t clamp_lane(int64_t lane) { return lane < 0 ? 0 : lane > 16 ? 16 : lane; }

/// Lanes of the piece that lie inside the operand when `other` is added.
inline uint32_t inside_mask(const Piece& p, const Entry& other, const Extent& extent) {
  const uint64_t x0 = static_cast<uint64_t>(p.first.x[0] + other.x[0]);
  const uint64_t x1 = static_cast<uint64_t>(p.first.x[1] + other.x[1]);
  if (x0 >= static_cast<uint64_t>(extent.x[0]) || x1 >= static_cast<uint64_t>(extent.x[1])) {
    return 0;
  }
  uint32_t mask = ((uint32_t{1} << (p.end - p.begin)) - 1) << p.begin;
  const int64_t x2 = p.first.x[2] + other.x[2];
  const int64_t last = x2 + p.step * (p.end - 1), first = x2 + p.step * p.begin;
  if (first >= 0 && first < extent.x[2] && last >= 0 && last < extent.x[2]) return mask;
  if (p.step == 1 || p.step == 2) {
    // Lanes l with 0 <= x2 + step * l < extent, from the first to the one before the last.
    const int64_t shift = p.step - 1;
    const int64_t from = clamp_lane((shift - x2) >> shift);
    const int64_t to = clamp_lane((extent.x[2] - x2 + shift) >> shift);
    return mask & ((uint32_t{1} << to) - 1) & ~((uint32_t{1} << from) - 1);
  }
  for (int l = p.begin; l < p.end; ++l) {
    const uint64_t x = static_cast<uint64_t>(x2 + p.step * l);
    if (x >= static_cast<uint64_t>(extent.x[2])) mask &= ~(uint32_t{1} << l);
  }
  return mask;
}

/// What packing one vector of entries costs, roughly, in loads.
inline constexpr int kLeastCost = 2;
inline int piece_cost(const Piece* pieces, int count) {
  int cost = 0;
  for (int i = 0; i < count; ++i) {
    const Piece& p = pieces[i];
    cost += p.stride == 1    ? kLeastCost
            : p.stride == -1 ? 3
            : p.stride == 2  ? 4
                             : 2 * (p.end - p.begin);
  }
  return cost;
}

/// Packs blocks of one operand. Not thread-safe: one per thread.
template <class T, class S>
class Packer {
 public:
  static constexpr int kW = kLanes<T>;

  /// Memory for up to `capacity` terms at a time.
  static constexpr int64_t work_bytes(int64_t capacity) {
    return capacity * static_cast<int64_t>(sizeof(Piece) + kMaskKinds * sizeof(uint16_t) +
                                           sizeof(int32_t)) +
           64;
  }

  Packer(const S* data, const Operand& operand, const UnsafeAxes& unsafe, char* work,
         int64_t capacity)
      : data_(data),
        pieces_(reinterpret_cast<Piece*>(work)),
        first_piece_(reinterpret_cast<int32_t*>(pieces_ + capacity)),
        masks_(reinterpret_cast<uint16_t*>(first_piece_ + capacity + 2)) {
    for (int i = 0; i < kAxes; ++i) extent_.x[i] = unsafe.axis[i] ? operand.extent[i] : 1;
  }

  /// The same operand's elements elsewhere.
  void move_to(const S* data) { data_ = data; }

  /// To be called before pack() whenever the content of a list has changed.
  void lists_changed() { prepared_ = ranged_ = false; }

  /// dst[t * pitch + lane], lanes 0..n-1 being outer entries begin..begin+n-1, n <= kW; lanes from
  /// n to `width` become +0.
  void pack(const PlaceList& outer, int64_t begin, int n, int width, const PlaceList& terms, T* dst,
            int64_t pitch) {
    Piece pieces[kW];
    const int count = make_pieces(outer.entry + begin, n, pieces);
    const int by_outer = piece_cost(pieces, count) * kW;
    const auto by_terms = [&] {
      Piece sample[kW];
      return piece_cost(sample, make_pieces(terms.entry, kW, sample)) * n + 2 * kW;
    };
    if (terms.count < kW || by_outer <= kLeastCost * n + 2 * kW || by_outer <= by_terms()) {
      prepared_ = false;  // the table of masks is about to be overwritten
      pack_outer(pieces, count, width, terms, dst, pitch);
    } else {
      if (!prepared_) prepare(outer, terms);
      pack_terms(outer, begin, n, width, terms, dst, pitch);
    }
  }

 private:
  static constexpr int32_t kMaskKinds = 64;  // classes of outer entries whose masks are kept

  /// Pieces of every kW terms, and their masks for every class of outer entries.
  void prepare(const PlaceList& outer, const PlaceList& terms) {
    int32_t total = 0, block = 0;
    for (int64_t t = 0; t < terms.count; t += kW) {
      const int m = terms.count - t < kW ? static_cast<int>(terms.count - t) : kW;
      first_piece_[block++] = total;
      const int count = make_pieces(terms.entry + t, m, pieces_ + total);
      turn_single_entries(pieces_ + total, count);
      total += count;
    }
    first_piece_[block] = total;
    kinds_ = outer.kinds <= kMaskKinds ? outer.kinds : 0;
    for (int32_t i = 0; i < total; ++i) {
      for (int32_t k = 0; k < kinds_; ++k) {
        masks_[i * kinds_ + k] =
            static_cast<uint16_t>(lanes_to_read(pieces_[i], outer.entry[outer.representative[k]]));
      }
    }
    prepared_ = true;
  }

  /// An entry alone goes backwards where the others do: then all are read in one way.
  static void turn_single_entries(Piece* pieces, int count) {
    bool backwards = false;
    for (int i = 0; i < count; ++i) backwards |= pieces[i].stride == -1;
    for (int i = 0; i < count && backwards; ++i) {
      Piece& p = pieces[i];
      if (p.end - p.begin > 1) continue;
      p.first.offset += p.begin * (p.stride + 1);
      p.stride = -1;
    }
  }

  /// As bits in the sequence of memory.
  uint32_t lanes_to_read(const Piece& p, const Entry& other) const {
    const uint32_t mask = inside_mask(p, other, extent_);
    return p.stride == -1 ? reversed_mask(mask, kW) : mask;
  }

  /// Lanes of a piece, whose lane 0 is at p.
  FPDET_INLINE static V<T> read(const S* p, int64_t stride, uint32_t lanes) {
    if (stride == -1) return reversed<T>(gather<T>(p - (kW - 1), 1, lanes));
    return gather<T>(p, stride, lanes);
  }

  void make_masks(const Piece* pieces, int count, const PlaceList& list) {
    for (int i = 0; i < count; ++i) {
      uint16_t* masks = masks_ + static_cast<int64_t>(i) * list.kinds;
      for (int32_t k = 0; k < list.kinds; ++k) {
        masks[k] = static_cast<uint16_t>(
            inside_mask(pieces[i], list.entry[list.representative[k]], extent_));
      }
    }
  }

  /// Whether all lanes of a piece lie inside the operand at every term of the list.
  bool is_whole(const Piece& p, const PlaceList& terms) {
    if (!ranged_) find_range(terms);
    for (int i = 0; i < kAxes; ++i) {
      const int64_t reach = i == 2 ? p.step * (kW - 1) : 0;
      const int64_t low = p.first.x[i] + (reach < 0 ? reach : 0) + low_.x[i];
      const int64_t high = p.first.x[i] + (reach < 0 ? 0 : reach) + high_.x[i];
      if (low < 0 || high >= extent_.x[i]) return false;
    }
    return true;
  }

  void find_range(const PlaceList& terms) {
    for (int32_t k = 0; k < terms.kinds; ++k) {
      const Entry& e = terms.entry[terms.representative[k]];
      for (int i = 0; i < kAxes; ++i) {
        low_.x[i] = k == 0 || e.x[i] < low_.x[i] ? e.x[i] : low_.x[i];
        high_.x[i] = k == 0 || e.x[i] > high_.x[i] ? e.x[i] : high_.x[i];
      }
    }
    ranged_ = true;
  }

  FPDET_INLINE static void pack_whole(const S* p, int64_t stride, const PlaceList& terms, T* dst,
                                      int64_t pitch) {
    const Entry* e = terms.entry;
    const int64_t n = terms.count;
    for (int64_t t = 0; t < n; ++t) {
      store<T>(dst + t * pitch, gather_all<T>(p + e[t].offset, stride));
    }
  }

  void pack_outer(const Piece* pieces, int count, int width, const PlaceList& terms, T* dst,
                  int64_t pitch) {
    if (count == 1 && pieces[0].end == kW && is_whole(pieces[0], terms)) {
      const S* p = data_ + pieces[0].first.offset;
      const int64_t stride = pieces[0].stride;
      if (stride == 1) {
        pack_whole(p, 1, terms, dst, pitch);
      } else if (stride == 2) {
        pack_whole(p, 2, terms, dst, pitch);
      } else {
        pack_whole(p, stride, terms, dst, pitch);
      }
      return;
    }
    const Entry* e = terms.entry;
    const int64_t n = terms.count;
    if (count == 1 && pieces[0].end == width && width <= kW / 2 && is_whole(pieces[0], terms)) {
      const S* p = data_ + pieces[0].first.offset;
      const int64_t stride = pieces[0].stride;
      for (int64_t t = 0; t < n; ++t, dst += pitch) {
        for (int l = 0; l < width; ++l) dst[l] = to_accumulator<T>(p[e[t].offset + l * stride]);
      }
      return;
    }
    make_masks(pieces, count, terms);
    const int32_t* kind = terms.kind;
    const uint16_t* m0 = masks_;
    if (count == 1 && width == kW && pieces[0].stride == 1) {
      const S* p = data_ + pieces[0].first.offset;
      for (int64_t t = 0; t < n; ++t) {
        store<T>(dst + t * pitch, gather<T>(p + e[t].offset, 1, m0[kind[t]]));
      }
      return;
    }
    if (count == 2 && width == kW && pieces[0].stride == 1 && pieces[1].stride == 1) {
      const S* p = data_ + pieces[0].first.offset;
      const S* q = data_ + pieces[1].first.offset;
      const uint16_t* m1 = masks_ + terms.kinds;
      for (int64_t t = 0; t < n; ++t) {
        store<T>(dst + t * pitch, either<T>(gather<T>(p + e[t].offset, 1, m0[kind[t]]),
                                            gather<T>(q + e[t].offset, 1, m1[kind[t]])));
      }
      return;
    }
    for (int64_t t = 0; t < n; ++t) {
      V<T> v = vector_of(pieces, count, e[t], kind[t], terms.kinds);
      if (width == kW) {
        store<T>(dst + t * pitch, v);
      } else {
        store_first<T>(dst + t * pitch, v, width);
      }
    }
  }

  FPDET_INLINE V<T> vector_of(const Piece* pieces, int count, const Entry& e, int32_t kind,
                              int32_t kinds) const {
    V<T> v = gather<T>(data_ + (pieces[0].first.offset + e.offset), pieces[0].stride, masks_[kind]);
    for (int i = 1; i < count; ++i) {
      v = either<T>(v, gather<T>(data_ + (pieces[i].first.offset + e.offset), pieces[i].stride,
                                 masks_[static_cast<int64_t>(i) * kinds + kind]));
    }
    return v;
  }

  void pack_terms(const PlaceList& outer, int64_t begin, int n, int width, const PlaceList& terms,
                  T* dst, int64_t pitch) {
    const Entry* entry = outer.entry + begin;
    const int32_t* kind = outer.kind + begin;
    int32_t block = 0;
    for (int64_t t = 0; t < terms.count; t += kW, ++block) {
      const int m = terms.count - t < kW ? static_cast<int>(terms.count - t) : kW;
      const Piece* pieces = pieces_ + first_piece_[block];
      const int count = first_piece_[block + 1] - first_piece_[block];
      const uint16_t* masks = masks_ + first_piece_[block] * kinds_;
      const int64_t stride = pieces[0].stride;
      bool alike = kinds_ > 0;
      for (int i = 1; i < count; ++i) alike &= pieces[i].stride == stride;
      V<T> rows[kW];
      for (int l = n; l < kW; ++l) rows[l] = V<T>{};
      const S* p = data_ + pieces[0].first.offset;
      const S* q = data_ + pieces[count - 1].first.offset;
      const auto by = [&](int64_t step) __attribute__((always_inline)) {
        if (count == 1) {
          for (int l = 0; l < n; ++l) rows[l] = read(p + entry[l].offset, step, masks[kind[l]]);
          return;
        }
        for (int l = 0; l < n; ++l) {
          rows[l] = either<T>(read(p + entry[l].offset, step, masks[kind[l]]),
                              read(q + entry[l].offset, step, masks[kinds_ + kind[l]]));
        }
      };
      if (alike && count <= 2 && stride == 1) {
        by(1);
      } else if (alike && count <= 2 && stride == -1) {
        by(-1);
      } else if (alike && count <= 2 && stride == 2) {
        by(2);
      } else {
        for (int l = 0; l < n; ++l) {
          V<T> v{};
          for (int i = 0; i < count; ++i) {
            const uint32_t lanes =
                kinds_ > 0 ? masks[i * kinds_ + kind[l]] : lanes_to_read(pieces[i], entry[l]);
            const S* from = data_ + (entry[l].offset + pieces[i].first.offset);
            v = either<T>(v, read(from, pieces[i].stride, lanes));
          }
          rows[l] = v;
        }
      }
      transpose<T>(rows);
      if (width == kW) {
        for (int i = 0; i < m; ++i) store<T>(dst + (t + i) * pitch, rows[i]);
      } else {
        for (int i = 0; i < m; ++i) store_first<T>(dst + (t + i) * pitch, rows[i], width);
      }
    }
  }

  const S* data_;
  Piece* pieces_;         ///< of the terms
  int32_t* first_piece_;  ///< of each kW terms
  uint16_t* masks_;       ///< [piece][class]; at most capacity * kMaskKinds
  int32_t kinds_ = 0;     ///< 0: too many, masks are made on the spot
  bool prepared_ = false;
  bool ranged_ = false;
  Extent low_{}, high_{};  ///< coordinates of the terms, once ranged_
  Extent extent_;
};

}  // namespace fpdet::inline FPDET_TARGET::kernels
