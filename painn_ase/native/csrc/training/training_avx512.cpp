#define PAINN_SET avx512
#define PAINN_LANES 16
#include "kernels.hpp"
