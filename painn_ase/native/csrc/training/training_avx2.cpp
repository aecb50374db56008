#define PAINN_SET avx2
#define PAINN_LANES 8
#include "kernels.hpp"
