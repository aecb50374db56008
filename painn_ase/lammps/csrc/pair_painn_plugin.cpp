// pair_style painn as a plugin (docs.lammps.org/Developer_plugins.html). What a LAMMPS that was compiled otherwise does
// with our classes, nobody knows: until all is compared, only C functions are called.
#include <dlfcn.h>
#include <mpi.h>

#include <cstdio>

#include "lammps.h"
#include "library.h"
#include "pair_painn.h"

using namespace LAMMPS_NS;

namespace {

struct Plugin {
    const char *version, *style, *name, *info, *author;
    Pair* (*creator)(LAMMPS*);
    void* handle;
};

Pair* create(LAMMPS* lmp) { return new PairPainn(lmp); }

#ifdef OMPI_MAJOR_VERSION
constexpr bool COMPILED_FOR_OPEN_MPI = true;
#else
constexpr bool COMPILED_FOR_OPEN_MPI = false;
#endif

// What differs between the LAMMPS that this file was compiled for and the one that loads it, or null.
const char* difference(void* lmp) {
    if (lammps_version(lmp) != PAINN_LAMMPS_VERSION) return "another version of LAMMPS";
    if (lammps_extract_setting(lmp, "tagint") != (int)sizeof(tagint)) return "atom IDs of another size";
    if (lammps_extract_setting(lmp, "bigint") != (int)sizeof(bigint)) return "step numbers of another size";
    if (lammps_extract_setting(lmp, "imageint") != (int)sizeof(imageint)) return "image flags of another size";
    if ((dlsym(RTLD_DEFAULT, "ompi_mpi_comm_world") != nullptr) != COMPILED_FOR_OPEN_MPI) return "another MPI";
    return nullptr;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void* lmp, void* handle, void* registry) {
    if (const char* reason = difference(lmp)) {
        fprintf(
            stderr,
            "pair_style painn was compiled for %s: LAMMPS %d, this is %d. Compile it for this one: painn-ase lammps build\n",
            reason, PAINN_LAMMPS_VERSION, lammps_version(lmp));
        return;
    }
    Plugin plugin{((LAMMPS*)lmp)->version, "pair", "painn", "networks of painn_ase", "the painn_ase authors", create, handle};
    ((void (*)(Plugin*, void*))registry)(&plugin, lmp);
}
