#define PAINN_SET portable
#define PAINN_LANES 4
#include "kernels.hpp"
