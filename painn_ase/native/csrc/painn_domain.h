/* One domain of a structure that several processes share: what an engine with domain decomposition calls beside painn.h.
   Rows 0 ... owned - 1 are this process's atoms; ghosts follow, copies of atoms of other processes and periodic images,
   as far as the cutoff reaches. Images of this process's own atoms need no features: where there are no other ghosts, the
   exchange below may be left out. With T interactions one evaluation is

       painn_domain_forward(domain, 0, positions)
       for t = 1 ... T - 1:    PAINN_NODES from owners to ghosts;    painn_domain_forward(domain, t, positions)
       for t = T - 1 ... 1:    painn_domain_backward(domain, t);     PAINN_HEARD of ghosts, added to owners
       painn_domain_backward(domain, 0)
       painn_domain_read(domain, ...)                                forces of ghosts, added to owners

   where the engine carries the arrays of PainnBorder from process to process. */
#pragma once
#include "painn.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct PainnDomain PainnDomain;

typedef struct {
    int64_t owned, ghosts;
    const int32_t* numbers;          /* (owned + ghosts) atomic numbers */
    const int32_t* counts;           /* (owned) entries of each row */
    const int32_t* const* neighbors; /* (owned) rows; two owned atoms in one of theirs, a ghost in its partner's */
    int32_t mask;                    /* bits of an entry that are the atom's row */
    const double* positions;         /* (owned + ghosts, 3), used for orders only */
    const int32_t* images;           /* (ghosts) row of the atom here that each is an image of, else -1; null: of none. The
                                        two rows that such a pair is in are one pair. Of several ghosts of the same atom of
                                        another process, all but one may name that one: they share its features */
} PainnDomainAtoms;

/* What crosses the border. After a forward step what atoms say, [x_s, x_vs, x_vv, v], 6F floats an atom; after a backward
   step what their neighbours answered, [A_s, A_vs, S], 5F floats. */
enum PainnBorder { PAINN_NODES, PAINN_HEARD };

/* For structures of these `elements`; every process must be given the same. Borrows the model, which says why in
   painn_error if the result is null: no memory, an unknown element, an energy that is not a sum over atoms. */
PAINN_API PainnDomain* painn_domain_new(PainnModel* model, int32_t count, const int32_t* elements, int32_t threads);
PAINN_API void painn_domain_free(PainnDomain* domain);
PAINN_API const char* painn_domain_error(const PainnDomain* domain);

/* New atoms, ghosts or pairs; pairs may reach beyond the cutoff. Copies what it needs. */
PAINN_API int painn_domain_set(PainnDomain* domain, const PainnDomainAtoms* atoms);
/* Step t of either pass; step 0 forward reads the `positions` (owned + ghosts, 3). */
PAINN_API int painn_domain_forward(PainnDomain* domain, int32_t t, const double* positions);
PAINN_API int painn_domain_backward(PainnDomain* domain, int32_t t);
/* Writes energies (owned); adds to forces (owned + ghosts, 3), virial (3, 3), this domain's Σ r_ij ⊗ ∂E/∂r_ij, and virials
   (owned + ghosts, 3, 3), half of each term to either atom. Null outputs are not wanted. */
PAINN_API int painn_domain_read(PainnDomain* domain, double* energies, double* forces, double* virial, double* virials);

PAINN_API int32_t painn_border_width(int32_t features, int32_t border); /* floats per atom */
/* Copies the floats of `count` atoms, those listed or, with a null list, `first` and those that follow it. An image has its
   atom's nodes, and has heard nothing. */
PAINN_API void painn_border_get(const PainnDomain* domain, int32_t border, int64_t count, const int32_t* atoms, int64_t first,
                                float* buffer);
/* The other way: PAINN_NODES are written, of images nowhere; PAINN_HEARD are added, of images to what they are images of. */
PAINN_API void painn_border_put(PainnDomain* domain, int32_t border, int64_t count, const int32_t* atoms, int64_t first,
                                const float* buffer);

#ifdef __cplusplus
}
#endif
