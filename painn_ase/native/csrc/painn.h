/* The C interface of the native PaiNN kernel: what painn_ase calls through ctypes.

   Lengths in Å, energies in eV. All arrays are row-major and contiguous. Functions that can fail return 0 on success
   and a nonzero code otherwise; painn_error says why. */
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PAINN_API __attribute__((visibility("default")))
#define PAINN_ABI 5 /* raised with every change of this file; the Python side refuses another number */

typedef struct PainnModel PainnModel;

typedef struct {
    int32_t features;     /* F, a multiple of 16 up to 256 */
    int32_t interactions; /* T */
    int32_t filters;      /* sets of filters: T, or 1 when shared */
    int32_t sets;         /* sets of message and update weights: T, or 1 when shared */
    int32_t intervals;    /* of the filter tables on [0, cutoff] */
    int32_t elements;     /* rows of the embedding */
    double cutoff;
    double epsilon; /* under the root of |V| */
} PainnSizes;

/* Which matrix a call of painn_set_linear gives; weights are (outputs, inputs) as in torch.nn.Linear. */
enum PainnLinear { PAINN_CONTEXT_1, PAINN_CONTEXT_2, PAINN_MIX, PAINN_UPDATE_1, PAINN_UPDATE_2 };

/* What a head computes from the final features. */
enum PainnHead { PAINN_ENERGY, PAINN_CHARGES, PAINN_DIPOLE, PAINN_POLARIZABILITY, PAINN_CELL_DIPOLE /* training only */ };

typedef struct {
    int32_t kind;                /* PainnHead */
    int32_t depth;               /* linear layers of an MLP, or gated blocks */
    const int32_t* sizes;        /* (depth + 1) inputs ... outputs; the last is 1 */
    const float* const* tensors; /* MLP: weight, bias of each layer; gated: mix, gate 1 weight, bias, gate 2 ... */
    double scale;
    const double* references; /* (elements of the periodic table = 100) */
    const double* masses;     /* (100), dipole and polarizability only */
    int32_t flag;             /* energy: divide by the number of atoms; charges, dipole: correct the total charge */
    double epsilon;           /* under the root of |V| of the gated blocks */
} PainnHeadSpec;

typedef struct {
    int64_t atoms, pairs, structures;
    const int64_t* numbers;   /* (atoms) */
    const int64_t* owner;     /* (atoms) structure of each atom, ascending */
    const int64_t* centers;   /* (pairs) full list: both directions of every pair */
    const int64_t* neighbors; /* (pairs) */
    const double* shifts;     /* (pairs, 3) whole numbers of cell vectors */
    const double* positions;  /* (atoms, 3), used for the order of memory only */
} PainnTopology;

/* Null outputs are not computed. */
typedef struct {
    double* energy;         /* (structures) */
    double* energies;       /* (atoms) */
    double* forces;         /* (atoms, 3) */
    double* stress;         /* (structures, 3, 3) */
    double* dipole;         /* (structures, 3) */
    double* charges;        /* (atoms) */
    double* polarizability; /* (structures, 3, 3) */
} PainnOutputs;

PAINN_API int32_t painn_abi(void);
/* Name of the instruction set that `wanted` ("", "portable", "avx2", "avx512") leads to, or null if it cannot run. */
PAINN_API const char* painn_instruction_set(const char* wanted);
/* Multiply-adds per second of one core of that instruction set, operands from the first-level cache. */
PAINN_API double painn_vector_rate(const char* instruction_set);

/* sizeof the struct of that name ("PainnSizes"), or 0 if there is none: what the Python side's copy must have, too. */
PAINN_API int64_t painn_struct_size(const char* name);

/* What functions return that return an int: 0, or why nothing was done. PAINN_UNDEFINED: what was asked for has no meaning for
   this structure. Of functions of a model, `painn_error` has the sentence. */
enum PainnFailure { PAINN_NO_MEMORY = 1, PAINN_FAILED, PAINN_UNDEFINED };

PAINN_API PainnModel* painn_new(const PainnSizes* sizes, const char* instruction_set);
PAINN_API void painn_free(PainnModel* model);
PAINN_API const char* painn_error(const PainnModel* model);
PAINN_API int painn_set_linear(PainnModel* model, int32_t which, int32_t set, const float* weight, const float* bias);
/* Coefficients (intervals + 5, 3, F) of the quintic B-splines of filter set `set`: W_s, W_vs, W_vv. */
PAINN_API int painn_set_filter(PainnModel* model, int32_t set, const double* coefficients);
/* The radial functions themselves, for the first message: coefficients (intervals + 5, radial) of the splines of
   [φ_n fc ..., fc], and what they weigh in W_s and W_vs of the first filter set, weights (radial, 2, F). Optional. */
PAINN_API int painn_set_radial(PainnModel* model, int32_t radial, const double* coefficients, const double* weights);
/* Embedding (elements, F), and the first layer's context (elements, 3, F), which depends on the element only. */
PAINN_API int painn_set_embedding(PainnModel* model, const float* embedding, const float* context);
PAINN_API int painn_add_head(PainnModel* model, const PainnHeadSpec* head);

/* New atoms or pairs. Copies what it needs. */
PAINN_API int painn_set_topology(PainnModel* model, const PainnTopology* topology);
/* Evaluates the network at `positions` (atoms, 3), `cells` (structures, 3, 3), and fills the outputs. */
PAINN_API int painn_run(PainnModel* model, const double* positions, const double* cells, const double* charges, int32_t threads,
                        const PainnOutputs* outputs);
/* Fills dipole, charges and polarizability from the features that the last painn_run left. */
PAINN_API int painn_read(PainnModel* model, int32_t threads, const PainnOutputs* outputs);

/* ---- Training (docs/training-step.md). Parameters, their gradients, moments and averages are flat arrays of the caller,
   of float (width 4) or double (width 8); every parameter begins at a multiple of 16 numbers, and what pads it is zero. */
typedef struct PainnTrainer PainnTrainer;

typedef struct {
    int32_t width;        /* of the network's numbers: 4 or 8 */
    int32_t features;     /* F, a multiple of 16 */
    int32_t interactions; /* T */
    int32_t filters;      /* sets of filters: T, or 1 when shared */
    int32_t sets;         /* sets of message and update weights: T, or 1 when shared */
    int32_t radial;       /* radial functions, the constant one of the bias included */
    int32_t intervals;    /* of their splines on [0, cutoff] */
    int32_t elements;     /* rows of the embedding */
    int32_t heads;
    int32_t energy_head; /* which of them is the energy; -1: none */
    double cutoff, epsilon;
    const double* spline;  /* (intervals + 5, radial) coefficients of [φ_n fc ..., fc] */
    int64_t parameters;    /* embedding; weight, bias of each filter; of each set both layers of the context, the mixing,
                               both layers of the update; of each head its layers, and of readouts w of a term w·s */
    const int64_t* places; /* (parameters) in the flat array; -1: there is none */
    const int64_t* counts; /* (parameters) numbers */
    const int32_t* parts;  /* (parameters) 0: representation, 1 + h: head h */
    const uint8_t* decays; /* (parameters) weight decay applies */
} PainnTrainingSizes;

/* A structure with its labels; null labels are absent. Pairs are listed once (i, j, or j, i), by ascending center. */
typedef struct {
    int64_t atoms, pairs;
    const int64_t* numbers;    /* (atoms) */
    const int64_t* centers;    /* (pairs) */
    const int64_t* neighbors;  /* (pairs) */
    const double* vectors;     /* (pairs, 3) r_ij */
    const double* positions;   /* (atoms, 3), for heads that measure from the centre of mass */
    double volume, charge;     /* Å³; the total charge as the dipole head counts it */
    const double* base;        /* (atoms) energies that the network does not make: references, a fixed pair potential */
    const double* base_forces; /* (atoms, 3) of that potential, or null: there is none */
    const double* base_virial; /* (3, 3) its Σ r ⊗ ∂E/∂r, or null */
    const double* labels[5];   /* energy (1), forces (atoms, 3), stress (3, 3), dipole (3), polarizability (3, 3) */
} PainnSample;

typedef struct {
    double weights[5], sizes[5]; /* of the labels above */
    int32_t absolute;            /* lengths of errors in place of squares */
} PainnLoss;

typedef struct {
    double learning_rate, decay, beta_1, beta_2, epsilon;
    double clip;    /* longest gradient; 0: any */
    double follow;  /* average += follow · (weights - average) */
    int64_t* steps; /* (1 + heads) steps that each part has made; raised here */
} PainnUpdate;

PAINN_API PainnTrainer* painn_trainer_new(const PainnTrainingSizes* sizes, const PainnHeadSpec* heads,
                                          const char* instruction_set);
PAINN_API void painn_trainer_free(PainnTrainer* trainer);
PAINN_API const char* painn_trainer_error(const PainnTrainer* trainer);
PAINN_API int painn_trainer_arrays(PainnTrainer* trainer, void* weights, void* gradient, void* first, void* second,
                                   void* average);
/* Keeps a copy of the structure; they are numbered from 0 in the order of these calls. */
PAINN_API int painn_trainer_add(PainnTrainer* trainer, const PainnSample* sample);
/* Forgets all structures. */
PAINN_API int painn_trainer_clear(PainnTrainer* trainer);
/* Weights were written from outside. */
PAINN_API int painn_trainer_changed(PainnTrainer* trainer);
/* The loss of a batch and its gradient; with `update` also a step of AdamW and of the average. results: loss, and the
   length of the gradient before it is clipped. */
PAINN_API int painn_trainer_step(PainnTrainer* trainer, const int64_t* members, int64_t count, const PainnLoss* loss,
                                 const PainnUpdate* update, int32_t threads, double* results);
/* What the weights, or their averages, say of structures, in the order of `members`. */
PAINN_API int painn_trainer_predict(PainnTrainer* trainer, int32_t averaged, const int64_t* members, int64_t count,
                                    int32_t threads, const PainnOutputs* outputs);

#ifdef __cplusplus
}
#endif
