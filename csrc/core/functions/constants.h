// SPDX-License-Identifier: MIT
// Constants of the elementary functions, in float64 pieces of falling size.
// Written by csrc/build/constants.py; a test writes it again and compares.
// clang-format off
#pragma once

#include "double_double.h"

namespace fpdet::inline FPDET_TARGET::constants {

inline constexpr double kSixtyFourthsPerE = 0x1.71547652b82fep6;  // 64 / log 2

// log 2 / 64; the first piece has 36 digits.
inline constexpr double kStep1 = 0x1.62e42fefap-7, kStep2 = 0x1.cf79abc9e3b3ap-46,
                        kStep3 = -0x1.ff0342542fc33p-100;

// log 2; the first piece has 42 digits.
inline constexpr double kLn21 = 0x1.62e42fefa38p-1, kLn22 = 0x1.ef35793c7673p-45,
                        kLn23 = 0x1.f97b57a079a19p-103;

inline constexpr double kOctavesPerE = 0x1.71547652b82fep0;  // 1 / log 2
inline constexpr DoubleDouble kLog2{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56};
inline constexpr DoubleDouble kSqrtHalf{0x1.6a09e667f3bcdp-1, -0x1.bdd3413b26456p-55};
inline constexpr DoubleDouble kTwoOverSqrtPi{0x1.20dd750429b6dp0, 0x1.1ae3a914fed8p-56};
inline constexpr DoubleDouble kOneOverSqrtTwoPi{0x1.9884533d43651p-2, -0x1.cbc0d30ebfd15p-56};

// 2^(i / 64)
FPDET_HD inline DoubleDouble power_of_two(int i) {
  static constexpr DoubleDouble kTable[] = {
      {0x1p0, 0x0p0},
      {0x1.02c9a3e778061p0, -0x1.19083535b085dp-56},
      {0x1.059b0d3158574p0, 0x1.d73e2a475b465p-55},
      {0x1.0874518759bc8p0, 0x1.186be4bb284ffp-57},
      {0x1.0b5586cf9890fp0, 0x1.8a62e4adc610bp-54},
      {0x1.0e3ec32d3d1a2p0, 0x1.03a1727c57b53p-59},
      {0x1.11301d0125b51p0, -0x1.6c51039449b3ap-54},
      {0x1.1429aaea92dep0, -0x1.32fbf9af1369ep-54},
      {0x1.172b83c7d517bp0, -0x1.19041b9d78a76p-55},
      {0x1.1a35beb6fcb75p0, 0x1.e5b4c7b4968e4p-55},
      {0x1.1d4873168b9aap0, 0x1.e016e00a2643cp-54},
      {0x1.2063b88628cd6p0, 0x1.dc775814a8495p-55},
      {0x1.2387a6e756238p0, 0x1.9b07eb6c70573p-54},
      {0x1.26b4565e27cddp0, 0x1.2bd339940e9d9p-55},
      {0x1.29e9df51fdee1p0, 0x1.612e8afad1255p-55},
      {0x1.2d285a6e4030bp0, 0x1.0024754db41d5p-54},
      {0x1.306fe0a31b715p0, 0x1.6f46ad23182e4p-55},
      {0x1.33c08b26416ffp0, 0x1.32721843659a6p-54},
      {0x1.371a7373aa9cbp0, -0x1.63aeabf42eae2p-54},
      {0x1.3a7db34e59ff7p0, -0x1.5e436d661f5e3p-56},
      {0x1.3dea64c123422p0, 0x1.ada0911f09ebcp-55},
      {0x1.4160a21f72e2ap0, -0x1.ef3691c309278p-58},
      {0x1.44e086061892dp0, 0x1.89b7a04ef80dp-59},
      {0x1.486a2b5c13cdp0, 0x1.3c1a3b69062fp-56},
      {0x1.4bfdad5362a27p0, 0x1.d4397afec42e2p-56},
      {0x1.4f9b2769d2ca7p0, -0x1.4b309d25957e3p-54},
      {0x1.5342b569d4f82p0, -0x1.07abe1db13cadp-55},
      {0x1.56f4736b527dap0, 0x1.9bb2c011d93adp-54},
      {0x1.5ab07dd485429p0, 0x1.6324c054647adp-54},
      {0x1.5e76f15ad2148p0, 0x1.ba6f93080e65ep-54},
      {0x1.6247eb03a5585p0, -0x1.383c17e40b497p-54},
      {0x1.6623882552225p0, -0x1.bb60987591c34p-54},
      {0x1.6a09e667f3bcdp0, -0x1.bdd3413b26456p-54},
      {0x1.6dfb23c651a2fp0, -0x1.bbe3a683c88abp-57},
      {0x1.71f75e8ec5f74p0, -0x1.16e4786887a99p-55},
      {0x1.75feb564267c9p0, -0x1.0245957316dd3p-54},
      {0x1.7a11473eb0187p0, -0x1.41577ee04992fp-55},
      {0x1.7e2f336cf4e62p0, 0x1.05d02ba15797ep-56},
      {0x1.82589994cce13p0, -0x1.d4c1dd41532d8p-54},
      {0x1.868d99b4492edp0, -0x1.fc6f89bd4f6bap-54},
      {0x1.8ace5422aa0dbp0, 0x1.6e9f156864b27p-54},
      {0x1.8f1ae99157736p0, 0x1.5cc13a2e3976cp-55},
      {0x1.93737b0cdc5e5p0, -0x1.75fc781b57ebcp-57},
      {0x1.97d829fde4e5p0, -0x1.d185b7c1b85d1p-54},
      {0x1.9c49182a3f09p0, 0x1.c7c46b071f2bep-56},
      {0x1.a0c667b5de565p0, -0x1.359495d1cd533p-54},
      {0x1.a5503b23e255dp0, -0x1.d2f6edb8d41e1p-54},
      {0x1.a9e6b5579fdbfp0, 0x1.0fac90ef7fd31p-54},
      {0x1.ae89f995ad3adp0, 0x1.7a1cd345dcc81p-54},
      {0x1.b33a2b84f15fbp0, -0x1.2805e3084d708p-57},
      {0x1.b7f76f2fb5e47p0, -0x1.5584f7e54ac3bp-56},
      {0x1.bcc1e904bc1d2p0, 0x1.23dd07a2d9e84p-55},
      {0x1.c199bdd85529cp0, 0x1.11065895048ddp-55},
      {0x1.c67f12e57d14bp0, 0x1.2884dff483cadp-54},
      {0x1.cb720dcef9069p0, 0x1.503cbd1e949dbp-56},
      {0x1.d072d4a07897cp0, -0x1.cbc3743797a9cp-54},
      {0x1.d5818dcfba487p0, 0x1.2ed02d75b3707p-55},
      {0x1.da9e603db3285p0, 0x1.c2300696db532p-54},
      {0x1.dfc97337b9b5fp0, -0x1.1a5cd4f184b5cp-54},
      {0x1.e502ee78b3ff6p0, 0x1.39e8980a9cc8fp-55},
      {0x1.ea4afa2a490dap0, -0x1.e9c23179c2893p-54},
      {0x1.efa1bee615a27p0, 0x1.dc7f486a4b6bp-54},
      {0x1.f50765b6e454p0, 0x1.9d3e12dd8a18bp-54},
      {0x1.fa7c1819e90d8p0, 0x1.74853f3a5931ep-55}};
  return kTable[i];
}

// 1 / (i + 2)!
FPDET_HD inline DoubleDouble one_over_factorial(int i) {
  static constexpr DoubleDouble kTable[] = {
      {0x1p-1, 0x0p0},
      {0x1.5555555555555p-3, 0x1.5555555555555p-57},
      {0x1.5555555555555p-5, 0x1.5555555555555p-59},
      {0x1.1111111111111p-7, 0x1.1111111111111p-63},
      {0x1.6c16c16c16c17p-10, -0x1.f49f49f49f49fp-65}};
  return kTable[i];
}

// The rest of them, from number 5 on.
FPDET_HD inline double one_over_factorial_tail(int i) {
  static constexpr double kTable[] = {
      0x1.a01a01a01a01ap-13,
      0x1.a01a01a01a01ap-16,
      0x1.71de3a556c734p-19,
      0x1.27e4fb7789f5cp-22,
      0x1.ae64567f544e4p-26,
      0x1.1eed8eff8d898p-29,
      0x1.6124613a86d09p-33};
  return kTable[i];
}

// -(-1)^(i + 2) / (i + 2)
FPDET_HD inline DoubleDouble one_over(int i) {
  static constexpr DoubleDouble kTable[] = {
      {-0x1p-1, 0x0p0},
      {0x1.5555555555555p-2, 0x1.5555555555555p-56},
      {-0x1p-2, 0x0p0},
      {0x1.999999999999ap-3, -0x1.999999999999ap-57},
      {-0x1.5555555555555p-3, -0x1.5555555555555p-57},
      {0x1.2492492492492p-3, 0x1.2492492492492p-57},
      {-0x1p-3, 0x0p0}};
  return kTable[i];
}

// The rest of them, from number 7 on.
FPDET_HD inline double one_over_tail(int i) {
  static constexpr double kTable[] = {
      0x1.c71c71c71c71cp-4,
      -0x1.999999999999ap-4,
      0x1.745d1745d1746p-4,
      -0x1.5555555555555p-4,
      0x1.3b13b13b13b14p-4,
      -0x1.2492492492492p-4,
      0x1.1111111111111p-4};
  return kTable[i];
}

// tanh(x) = x + sum of these times x^(2 i + 3)
FPDET_HD inline DoubleDouble tanh_series(int i) {
  static constexpr DoubleDouble kTable[] = {
      {-0x1.5555555555555p-2, -0x1.5555555555555p-56},
      {0x1.1111111111111p-3, 0x1.1111111111111p-59},
      {-0x1.ba1ba1ba1ba1cp-5, 0x1.7917917917918p-59},
      {0x1.664f4882c10fap-6, -0x1.9a5288b6c44fdp-63}};
  return kTable[i];
}

// The rest of them, from number 4 on.
FPDET_HD inline double tanh_series_tail(int i) {
  static constexpr double kTable[] = {
      -0x1.226e355e6c23dp-7,
      0x1.d6d3d0e157dep-9,
      -0x1.7da36452b75e3p-10};
  return kTable[i];
}

// (-1)^i / (i! (2 i + 1))
FPDET_HD inline DoubleDouble erf_series(int i) {
  static constexpr DoubleDouble kTable[] = {
      {0x1p0, 0x0p0},
      {-0x1.5555555555555p-2, -0x1.5555555555555p-56},
      {0x1.999999999999ap-4, -0x1.999999999999ap-58},
      {-0x1.8618618618618p-6, -0x1.8618618618618p-60},
      {0x1.2f684bda12f68p-8, 0x1.2f684bda12f68p-62},
      {-0x1.8d3018d3018d3p-11, -0x1.8d3018d3018d3p-71},
      {0x1.c01c01c01c01cp-14, 0x1.c01c01c01c01cp-74},
      {-0x1.bbd779334ef0bp-17, 0x1.4e65f77088199p-71},
      {0x1.87a00187a0018p-20, 0x1.e80061e80061fp-74},
      {-0x1.3777c55568ccdp-23, -0x1.aaabe22270001p-79},
      {0x1.c2e3054870b38p-27, -0x1.d5bceb1cfc09cp-81}};
  return kTable[i];
}

// The rest of them, from number 11 on.
FPDET_HD inline double erf_series_tail(int i) {
  static constexpr double kTable[] = {
      -0x1.2b67310aa9f3ap-30,
      0x1.6f448e13e85e1p-34,
      -0x1.a289ee7e40f74p-38,
      0x1.bd577e658d02p-42,
      -0x1.bc6250fb14231p-46,
      0x1.a173a167fba4dp-50,
      -0x1.7271cbe5863ecp-54,
      0x1.377c2110f2083p-58,
      -0x1.f1b4073b34a68p-63,
      0x1.7abd72258fb6ep-67};
  return kTable[i];
}

// 2 / (2 i + 3)
FPDET_HD inline double atanh_series(int i) {
  static constexpr double kTable[] = {
      0x1.5555555555555p-1,
      0x1.999999999999ap-2,
      0x1.2492492492492p-2,
      0x1.c71c71c71c71cp-3,
      0x1.745d1745d1746p-3,
      0x1.3b13b13b13b14p-3,
      0x1.1111111111111p-3,
      0x1.e1e1e1e1e1e1ep-4,
      0x1.af286bca1af28p-4,
      0x1.8618618618618p-4};
  return kTable[i];
}

struct LogCentre {
  double c;
  DoubleDouble minus_log;
};

// c near 128 / (i + 90), and -log c
FPDET_HD inline LogCentre log_centre(int i) {
  static constexpr LogCentre kTable[] = {
      {0x1.6c2p0, {-0x1.68c68395480f6p-2, -0x1.560366842ebe4p-56}},
      {0x1.682p0, {-0x1.5d76dd9a778dp-2, -0x1.279b3b76168b3p-57}},
      {0x1.642p0, {-0x1.5206dfd186716p-2, -0x1.9fa51e79aff41p-57}},
      {0x1.606p0, {-0x1.472fdbe4fd3f2p-2, -0x1.b2629fc10f5b7p-56}},
      {0x1.5cap0, {-0x1.3c3b2736b3f61p-2, 0x1.747a74f77e325p-57}},
      {0x1.58ep0, {-0x1.31281d5f10fa4p-2, -0x1.ef195748543f8p-56}},
      {0x1.556p0, {-0x1.26b620935063cp-2, -0x1.1767e2e6f25cep-57}},
      {0x1.51ep0, {-0x1.1c2895218f2cp-2, 0x1.ed37f8d4b1345p-58}},
      {0x1.4e6p0, {-0x1.117ee81dfe4c4p-2, 0x1.10eba2e6869b7p-57}},
      {0x1.4bp0, {-0x1.071b85fcd590dp-2, -0x1.d1707f97bde8p-58}},
      {0x1.47ap0, {-0x1.f939c4e72d59dp-3, -0x1.e500ec33c030bp-63}},
      {0x1.446p0, {-0x1.e4ceeda61dda6p-3, -0x1.a0e33f47845a2p-57}},
      {0x1.414p0, {-0x1.d0fb7f2255e51p-3, 0x1.4ac818ceca4c4p-57}},
      {0x1.3e2p0, {-0x1.bcf6736f7d6c7p-3, -0x1.76b0a6e1c43a2p-60}},
      {0x1.3b2p0, {-0x1.a98ed238b8089p-3, -0x1.bfed1ee6b0199p-58}},
      {0x1.382p0, {-0x1.95f7ac2b3b4f5p-3, -0x1.442f000de8626p-59}},
      {0x1.352p0, {-0x1.8230164c1a332p-3, 0x1.14bad17a5bddbp-57}},
      {0x1.324p0, {-0x1.6f0d28ae56b4cp-3, 0x1.906d99184b992p-57}},
      {0x1.2f6p0, {-0x1.5bbc05f140486p-3, -0x1.258abb468d482p-58}},
      {0x1.2cap0, {-0x1.4915d832fb562p-3, 0x1.dc00d79ec3456p-57}},
      {0x1.29ep0, {-0x1.3643cad0588f1p-3, 0x1.c37b3480acbdbp-58}},
      {0x1.274p0, {-0x1.2423113ba50e3p-3, 0x1.e3ba766fc9a72p-66}},
      {0x1.24ap0, {-0x1.11d8e5e290472p-3, 0x1.05ad155aa5374p-57}},
      {0x1.22p0, {-0x1.fec9131dbeabbp-4, 0x1.5746b9981b36cp-58}},
      {0x1.1f8p0, {-0x1.db5270187d927p-4, -0x1.e15ab8607d2acp-58}},
      {0x1.1dp0, {-0x1.b78c82bb0eda1p-4, -0x1.0878cf0327e21p-61}},
      {0x1.1a8p0, {-0x1.9375e55595edep-4, 0x1.e463f9e4dd92p-59}},
      {0x1.182p0, {-0x1.70e12b325c82ap-4, 0x1.e4d51d665d0f7p-58}},
      {0x1.15cp0, {-0x1.4e01108a35ae6p-4, 0x1.81069d28db75bp-59}},
      {0x1.136p0, {-0x1.2ad449eff2316p-4, 0x1.d72f82dc39cap-59}},
      {0x1.112p0, {-0x1.0939853a1cc8cp-4, 0x1.3c34f846e1c9fp-58}},
      {0x1.0ecp0, {-0x1.cae72fb95c20bp-5, 0x1.f9012d8df3f0ep-59}},
      {0x1.0cap0, {-0x1.8a5a9cc614ca4p-5, 0x1.4800c074d0c95p-59}},
      {0x1.0a6p0, {-0x1.4572e981cad9p-5, 0x1.5064c828a904cp-60}},
      {0x1.084p0, {-0x1.03d5d85e73eefp-5, -0x1.2c1da539d60edp-61}},
      {0x1.062p0, {-0x1.83624fba83bd7p-6, -0x1.c96b4004622b7p-61}},
      {0x1.042p0, {-0x1.05e547826bc91p-6, 0x1.e21f5e1f7e49ep-60}},
      {0x1.02p0, {-0x1.fe02a6b106789p-8, 0x1.e44b7e3711ebfp-67}},
      {0x1p0, {-0x0p0, 0x0p0}},
      {0x1.fcp-1, {0x1.010157588de71p-7, 0x1.46662d417cedp-62}},
      {0x1.f8p-1, {0x1.0205658935847p-6, 0x1.27c8e8416e71fp-60}},
      {0x1.f44p-1, {0x1.7c61b1cf5deep-6, 0x1.b83db2ddc8012p-60}},
      {0x1.f08p-1, {0x1.f7a9b16782856p-6, -0x1.36c720c147756p-60}},
      {0x1.eccp-1, {0x1.39f07ba0ebd62p-5, 0x1.4eb2172bbbf58p-59}},
      {0x1.e9p-1, {0x1.788595a3577bap-5, 0x1.e5ef898b67923p-59}},
      {0x1.e58p-1, {0x1.b35dd9b58baadp-5, -0x1.6526154e379dfp-61}},
      {0x1.e2p-1, {0x1.eea31c006b87cp-5, -0x1.3e4fc93b7b66cp-59}},
      {0x1.de4p-1, {0x1.174f76ab09171p-4, 0x1.8bf717241bfedp-63}},
      {0x1.dbp-1, {0x1.333d7f8183f4bp-4, 0x1.a92afc8ef70b1p-58}},
      {0x1.d78p-1, {0x1.518874226130ap-4, 0x1.d96258b3d8a8fp-60}},
      {0x1.d4p-1, {0x1.700d30aeac0e1p-4, -0x1.72566212cdd05p-61}},
      {0x1.d0cp-1, {0x1.8c985e9b9ec84p-4, -0x1.bbf21801ae8cbp-59}},
      {0x1.cd8p-1, {0x1.a956d3ecade63p-4, 0x1.e5300b12bd55ep-58}},
      {0x1.ca4p-1, {0x1.c6494a2e418a6p-4, -0x1.754df3b1a5d9p-60}},
      {0x1.c7p-1, {0x1.e3707ee30487bp-4, 0x1.09ccecd579d99p-58}},
      {0x1.c4p-1, {0x1.fe89139dbd566p-4, -0x1.ac9f4215f9393p-58}},
      {0x1.c1p-1, {0x1.0ce7ecdccc28dp-3, -0x1.692a0055dc959p-57}},
      {0x1.bdcp-1, {0x1.1bc8af21436b3p-3, 0x1.64fb955458117p-57}},
      {0x1.bacp-1, {0x1.299d30c606ea7p-3, -0x1.ff0c47ee4eafbp-57}},
      {0x1.b7cp-1, {0x1.3789c4c041337p-3, -0x1.85dd9670d0226p-57}},
      {0x1.b5p-1, {0x1.4462b9dc9b3dcp-3, -0x1.629c46c186385p-58}},
      {0x1.b2p-1, {0x1.527e5e4a1b58dp-3, -0x1.71a9682395bfdp-61}},
      {0x1.af4p-1, {0x1.5f830a1a5ca91p-3, 0x1.a263ff06eedfep-58}},
      {0x1.ac4p-1, {0x1.6dcf0165f8373p-3, -0x1.4cb2e60d9cf13p-57}},
      {0x1.a98p-1, {0x1.7b0091651528cp-3, 0x1.4069f303518c8p-57}},
      {0x1.a6cp-1, {0x1.884807ce5638fp-3, -0x1.885abc769d435p-61}},
      {0x1.a4p-1, {0x1.95a5adcf7017fp-3, 0x1.142c507fb7a3dp-58}},
      {0x1.a18p-1, {0x1.a1dfc40f1b7f1p-3, -0x1.e009e6f018fe8p-61}},
      {0x1.9ecp-1, {0x1.af6895610dbaep-3, -0x1.445fbd49bb184p-60}},
      {0x1.9c4p-1, {0x1.bbca696b07e8p-3, 0x1.17a8fc988fe53p-58}},
      {0x1.998p-1, {0x1.c97f8079d44ecp-3, 0x1.61a8c6e6c4ee7p-57}},
      {0x1.97p-1, {0x1.d60a17f903515p-3, -0x1.c0df841a71b7ap-57}},
      {0x1.948p-1, {0x1.e2a877a6b2c12p-3, -0x1.fa21e3df9943p-58}},
      {0x1.92p-1, {0x1.ef5ade4dcffe6p-3, -0x1.08ab2ddc708ap-58}},
      {0x1.8f8p-1, {0x1.fc218be620a5ep-3, -0x1.6e438c258187fp-58}},
      {0x1.8d4p-1, {0x1.03d95a1d67686p-2, -0x1.dfc3727bdcd3p-58}},
      {0x1.8acp-1, {0x1.0a504e97bb40cp-2, 0x1.29ccd218877e5p-57}},
      {0x1.888p-1, {0x1.102ac0a35cc1cp-2, 0x1.088080a5e68b4p-59}},
      {0x1.86p-1, {0x1.16b5ccbacfb73p-2, 0x1.66fbd28b40935p-56}},
      {0x1.83cp-1, {0x1.1ca28c64bae54p-2, -0x1.3e10bd559adb8p-56}},
      {0x1.818p-1, {0x1.22981fbef797bp-2, -0x1.0b04ac06cebep-59}},
      {0x1.7f4p-1, {0x1.2896a13e086a4p-2, -0x1.2fd81e96ad9cfp-56}},
      {0x1.7dp-1, {0x1.2e9e2bce12286p-2, 0x1.8251a3b83d97ap-62}},
      {0x1.7acp-1, {0x1.34aedad5b168bp-2, -0x1.530d41e0229c4p-56}},
      {0x1.78cp-1, {0x1.3a1ac802f3664p-2, -0x1.30c6654272c1p-56}},
      {0x1.768p-1, {0x1.403d086cea79cp-2, -0x1.0a8bb78cf7cdap-56}},
      {0x1.744p-1, {0x1.4668bf41ef994p-2, 0x1.d13a74ae12674p-57}},
      {0x1.724p-1, {0x1.4becf95d97913p-2, 0x1.89bffb8b1f5d2p-57}},
      {0x1.704p-1, {0x1.5178d9ab5557p-2, 0x1.530fe963b2f5p-56}},
      {0x1.6ep-1, {0x1.57bf753c8d1fbp-2, -0x1.0908d15f88b63p-57}},
      {0x1.6cp-1, {0x1.5d5bddf595f3p-2, -0x1.6541148cbb8a2p-56}},
      {0x1.6ap-1, {0x1.630030b3aac49p-2, 0x1.dc18ce51fff99p-57}}};
  return kTable[i];
}

}  // namespace fpdet::inline FPDET_TARGET::constants
