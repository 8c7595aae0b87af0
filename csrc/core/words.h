// SPDX-License-Identifier: MIT
// Words (host): the one parser and printer of roundings, orders, formats and whole arithmetics.
//
//   "<rounding> <order> <accumulator> <fused|unfused> [bits=32] [variant=a] [seed=0]
//   [keyed_by=position]"
//
// exact has neither accumulator nor fused word, kahan and neumaier no fused word; the options
// belong to stochastic alone and are printed when they differ from the defaults shown. The words
// after the order may be left out (auto, fused). Errors are std::invalid_argument: what was
// expected, what was got.
#pragma once

#include <charconv>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "arith.h"
#include "config.h"
#include "format.h"
#include "order.h"
#include "random.h"
#include "rounding.h"

namespace fpdet::inline FPDET_TARGET {

inline constexpr const char* kRoundingWords[] = {
#define FPDET_ROW(enumerator, word) word,
    FPDET_ROUNDINGS(FPDET_ROW)
#undef FPDET_ROW
};

inline constexpr std::pair<const char*, Format> kFormatWords[] = {
#define FPDET_ROW(constant, word, precision, emin, emax, max_bits, has_infinity) {word, constant},
    FPDET_FORMATS(FPDET_ROW)
#undef FPDET_ROW
};

inline constexpr const char* kOrderWords[] = {"sequential",
                                              "reverse",
                                              "blocked(n)",
                                              "pairwise",
                                              "pairwise(n)",
                                              "split(s)",
                                              "strided(l)",
                                              "shuffled(seed)",
                                              "shuffled(seed,vary=call)",
                                              "shuffled(seed,vary=element)",
                                              "split(s).shuffled(seed)",
                                              "kahan",
                                              "neumaier",
                                              "exact"};

// The block length, number of parts or of lanes that an order may name.
inline constexpr int64_t kMaxOrderNumber = int64_t{1} << 31;

struct ParsedRounding {
  Rounding rounding = Rounding::NearestEven;
  StochasticSpec stochastic{};
};

struct ParsedArithmetic {
  Rounding rounding = Rounding::NearestEven;
  Order order{};
  bool accumulator_auto = true;  // format is float64 for float64 operands, float32 for the rest
  Format format = kFloat32;
  std::string format_word = "auto";  // empty where the order is exact
  bool fused = true;
  StochasticSpec stochastic{};

  Arithmetic resolve(bool float64_operands) const {
    const Format automatic = float64_operands ? kFloat64 : kFloat32;
    return Arithmetic{rounding, accumulator_auto ? automatic : format, fused, stochastic};
  }
};

namespace words {

[[noreturn]] inline void refuse(const std::string& what, std::string_view got) {
  throw std::invalid_argument(what + ", got '" + std::string(got) + "'");
}

template <class Range, class Name>
std::string join(const Range& range, Name name) {
  std::string list;
  for (const auto& item : range) list += (list.empty() ? "" : ", ") + std::string(name(item));
  return list;
}

inline std::string rounding_list() {
  return join(kRoundingWords, [](const char* word) { return word; });
}
inline std::string order_list() {
  return join(kOrderWords, [](const char* word) { return word; });
}
inline std::string format_list() {
  return join(kFormatWords, [](const auto& row) { return row.first; }) +
         " or e<exponent_bits>p<precision>";
}

// A whole decimal number in [low, high], else an error naming it.
template <class Integer>
Integer number(std::string_view text, Integer low, Integer high, const std::string& name) {
  Integer value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < low || value > high) {
    refuse(
        name + ": expected an integer from " + std::to_string(low) + " to " + std::to_string(high),
        text);
  }
  return value;
}

inline uint64_t seed_number(std::string_view text, const std::string& name) {
  return number<uint64_t>(text, 0, ~uint64_t{0}, name);
}

inline bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Splits at spaces outside parentheses; spaces inside parentheses are dropped.
inline std::vector<std::string> tokens(std::string_view text) {
  std::vector<std::string> result;
  std::string token;
  int depth = 0;
  for (const char c : text) {
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (!is_space(c)) {
      token += c;
    } else if (depth <= 0 && !token.empty()) {
      result.push_back(std::move(token));
      token.clear();
    }
  }
  if (!token.empty()) result.push_back(std::move(token));
  return result;
}

// "name(argument)" -> argument; false if text is not of that form.
inline bool call(std::string_view text, std::string_view name, std::string_view& argument) {
  if (text.size() < name.size() + 2 || text.substr(0, name.size()) != name ||
      text[name.size()] != '(' || text.back() != ')') {
    return false;
  }
  argument = text.substr(name.size() + 1, text.size() - name.size() - 2);
  return true;
}

inline bool option(std::string_view text, std::string_view name, std::string_view& value) {
  if (text.size() <= name.size() || text.substr(0, name.size()) != name ||
      text[name.size()] != '=') {
    return false;
  }
  value = text.substr(name.size() + 1);
  return true;
}

inline bool is_option(std::string_view text) {
  return text.find('=') != text.npos && text.back() != ')';
}

}  // namespace words

inline std::string to_string(Rounding rounding) {
  return kRoundingWords[static_cast<int>(rounding)];
}

inline std::string to_string(const Order& order) {
  const std::string n = std::to_string(order.n);
  const std::string seed = std::to_string(order.seed);
  switch (order.kind) {
    case OrderKind::Sequential:
      return "sequential";
    case OrderKind::Reverse:
      return "reverse";
    case OrderKind::Blocked:
      return order.n == 1 ? "pairwise" : "blocked(" + n + ")";
    case OrderKind::Split:
      return "split(" + n + ")";
    case OrderKind::Strided:
      return "strided(" + n + ")";
    case OrderKind::Shuffled:
      return "shuffled(" + seed +
             (order.vary == Vary::Call      ? ",vary=call)"
              : order.vary == Vary::Element ? ",vary=element)"
                                            : ")");
    case OrderKind::SplitShuffled:
      return "split(" + n + ").shuffled(" + seed + ")";
    case OrderKind::Kahan:
      return "kahan";
    case OrderKind::Neumaier:
      return "neumaier";
    case OrderKind::Exact:
      return "exact";
  }
  return "";
}

inline std::string to_string(const Format& format) {
  for (const auto& [word, known] : kFormatWords) {
    if (format == known) return word;
  }
  int exponent_bits = 2;
  while ((1 << (exponent_bits - 1)) - 1 < format.exponent_max) ++exponent_bits;
  return "e" + std::to_string(exponent_bits) + "p" + std::to_string(format.precision);
}

// The options of stochastic that differ from their defaults, each with a space before it.
inline std::string to_string(const StochasticSpec& spec) {
  std::string text;
  if (spec.bits != 32) text += " bits=" + std::to_string(spec.bits);
  if (spec.variant != 'a') text += std::string(" variant=") + spec.variant;
  if (spec.seed != 0) text += " seed=" + std::to_string(spec.seed);
  if (spec.keyed_by_operands) text += " keyed_by=operands";
  return text;
}

inline std::string to_string(const ParsedArithmetic& arithmetic) {
  std::string text = to_string(arithmetic.rounding) + " " + to_string(arithmetic.order);
  if (!arithmetic.order.exact()) {
    text += " " + (arithmetic.accumulator_auto ? "auto" : to_string(arithmetic.format));
    if (!arithmetic.order.compensated()) text += arithmetic.fused ? " fused" : " unfused";
  }
  if (arithmetic.rounding == Rounding::Stochastic) text += to_string(arithmetic.stochastic);
  return text;
}

inline Rounding parse_rounding_word(std::string_view text) {
  int index = 0;
  for (const char* word : kRoundingWords) {
    if (text == word) return static_cast<Rounding>(index);
    ++index;
  }
  words::refuse("rounding: expected one of " + words::rounding_list(), text);
}

inline Format parse_format(std::string_view text) {
  for (const auto& [word, format] : kFormatWords) {
    if (text == word) return format;
  }
  const size_t p = text.find('p');
  if (text.size() >= 4 && text[0] == 'e' && p != text.npos &&
      text.find_first_not_of("0123456789ep") == text.npos) {
    const int exponent_bits = words::number<int>(
        text.substr(1, p - 1), 2, 11, "format: exponent bits of e<exponent_bits>p<precision>");
    const int precision = words::number<int>(text.substr(p + 1), 2, 53,
                                             "format: precision of e<exponent_bits>p<precision>");
    return make_format(exponent_bits, precision);
  }
  words::refuse("format: expected one of " + words::format_list(), text);
}

inline Order parse_order(std::string_view given) {
  std::string text;  // spaces inside mean nothing
  for (const char c : given) {
    if (!words::is_space(c)) text += c;
  }
  const auto count = [&](std::string_view argument) {
    return words::number<int64_t>(argument, 1, kMaxOrderNumber, "order: '" + text + "'");
  };
  const auto seed = [&](std::string_view argument) {
    return words::seed_number(argument, "order: seed of '" + text + "'");
  };
  std::string_view argument;
  if (text == "sequential") return Order{OrderKind::Sequential, 0, 0, Vary::Never};
  if (text == "reverse") return Order{OrderKind::Reverse, 0, 0, Vary::Never};
  if (text == "pairwise") return Order{OrderKind::Blocked, 1, 0, Vary::Never};
  if (text == "kahan") return Order{OrderKind::Kahan, 0, 0, Vary::Never};
  if (text == "neumaier") return Order{OrderKind::Neumaier, 0, 0, Vary::Never};
  if (text == "exact") return Order{OrderKind::Exact, 0, 0, Vary::Never};
  const size_t dot = text.find(").shuffled(");
  if (dot != text.npos) {
    std::string_view parts;
    const std::string_view whole = text;
    if (words::call(whole.substr(0, dot + 1), "split", parts) &&
        words::call(whole.substr(dot + 2), "shuffled", argument)) {
      return Order{OrderKind::SplitShuffled, count(parts), seed(argument), Vary::Never};
    }
  } else if (words::call(text, "blocked", argument) || words::call(text, "pairwise", argument)) {
    return Order{OrderKind::Blocked, count(argument), 0, Vary::Never};
  } else if (words::call(text, "split", argument)) {
    return Order{OrderKind::Split, count(argument), 0, Vary::Never};
  } else if (words::call(text, "strided", argument)) {
    return Order{OrderKind::Strided, count(argument), 0, Vary::Never};
  } else if (words::call(text, "shuffled", argument)) {
    const size_t comma = argument.find(',');
    Vary vary = Vary::Never;
    if (comma != argument.npos) {
      const std::string_view word = argument.substr(comma + 1);
      if (word == "vary=call") {
        vary = Vary::Call;
      } else if (word == "vary=element") {
        vary = Vary::Element;
      } else {
        words::refuse("order: expected vary=call or vary=element after the seed of shuffled", word);
      }
    }
    return Order{OrderKind::Shuffled, 0, seed(argument.substr(0, comma)), vary};
  }
  words::refuse("order: expected one of " + words::order_list(), given);
}

namespace words {

// One "name=value" word after a rounding; refuses names and values it does not know.
inline void parse_option(std::string_view text, Rounding rounding, StochasticSpec& spec) {
  if (rounding != Rounding::Stochastic) {
    refuse("rounding: options belong to stochastic alone, not to " + to_string(rounding), text);
  }
  std::string_view value;
  if (option(text, "bits", value)) {
    spec.bits = number<int>(value, 1, 32, "bits");
  } else if (option(text, "variant", value)) {
    if (value != "a" && value != "b" && value != "c") {
      refuse("variant: expected one of a, b, c", value);
    }
    spec.variant = value[0];
  } else if (option(text, "seed", value)) {
    spec.seed = seed_number(value, "seed");
  } else if (option(text, "keyed_by", value)) {
    if (value != "position" && value != "operands") {
      refuse("keyed_by: expected one of position, operands", value);
    }
    spec.keyed_by_operands = value == "operands";
  } else {
    refuse("arithmetic: expected an option out of bits=, variant=, seed=, keyed_by=", text);
  }
}

}  // namespace words

// "<rounding> [options]", as fpdet.round takes it.
inline ParsedRounding parse_rounding(std::string_view text) {
  const std::vector<std::string> list = words::tokens(text);
  ParsedRounding parsed;
  parsed.rounding = parse_rounding_word(list.empty() ? std::string_view{} : list[0]);
  for (size_t i = 1; i < list.size(); ++i) {
    words::parse_option(list[i], parsed.rounding, parsed.stochastic);
  }
  return parsed;
}

inline ParsedArithmetic parse_arithmetic(std::string_view text) {
  const std::vector<std::string> list = words::tokens(text);
  if (list.size() < 2) {
    words::refuse(
        "arithmetic: expected '<rounding> <order> <accumulator> <fused|unfused> [options]'", text);
  }
  ParsedArithmetic parsed;
  parsed.rounding = parse_rounding_word(list[0]);
  parsed.order = parse_order(list[1]);
  size_t i = 2;
  if (parsed.order.exact()) {
    parsed.format_word.clear();
    if (i < list.size() && !words::is_option(list[i])) {
      words::refuse("arithmetic: the order exact has neither accumulator nor fused word", list[i]);
    }
  } else if (i < list.size() && !words::is_option(list[i])) {
    if (list[i] != "auto") {
      if (list[i] == "fused" || list[i] == "unfused") {
        words::refuse(
            "arithmetic: expected an accumulator before it (auto, " + words::format_list() + ")",
            list[i]);
      }
      parsed.format = parse_format(list[i]);
      parsed.accumulator_auto = false;
      parsed.format_word = to_string(parsed.format);
    }
    ++i;
  }
  if (i < list.size() && !words::is_option(list[i])) {
    if (parsed.order.compensated()) {
      words::refuse("arithmetic: the order " + to_string(parsed.order) + " has no fused word",
                    list[i]);
    }
    if (list[i] != "fused" && list[i] != "unfused") {
      words::refuse("arithmetic: expected fused or unfused after the accumulator", list[i]);
    }
    parsed.fused = list[i] == "fused";
    ++i;
  }
  for (; i < list.size(); ++i) words::parse_option(list[i], parsed.rounding, parsed.stochastic);
  return parsed;
}

}  // namespace fpdet::inline FPDET_TARGET
