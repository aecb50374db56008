// Features between ranks: an atom's go once to every rank that has ghosts of it, whichever faces and edges those are at.
#ifndef LMP_PAINN_BORDERS_H
#define LMP_PAINN_BORDERS_H

#include <mpi.h>

#include <vector>

#include "painn_domain.h"

#ifdef OMPI_MAJOR_VERSION  // weak, so that a LAMMPS with another MPI can load the plugin and be told what is wrong
#pragma weak ompi_mpi_int
#pragma weak ompi_mpi_float
#pragma weak ompi_mpi_double_int
#pragma weak ompi_mpi_op_maxloc
#endif

namespace LAMMPS_NS {

class Borders {
  public:
    explicit Borders(MPI_Comm world) : world_(world) {}

    // On all ranks at once: the owner of each of `all` atoms and ghosts, (all, 2) its rank and its row there.
    void set(int owned, int all, const double* owners);
    const std::vector<int>& images() const { return images_; }  // of ghosts, as in painn_domain.h
    void to_ghosts(PainnDomain* domain, int features);          // what atoms say
    void to_owners(PainnDomain* domain, int features);          // what ghosts were answered, added
    double memory_usage() const;                                // bytes

  private:
    struct Side {  // rows here, rank after rank, and how many of them concern each rank
        std::vector<int> rows, counts, starts;
        void count();
    };

    void carry(PainnDomain* domain, int border, int features, const Side& from, const Side& to);

    const MPI_Comm world_;
    Side atoms_, ghosts_;
    std::vector<int> images_;
    std::vector<float> sent_, received_;
    std::vector<MPI_Request> requests_;
    std::vector<MPI_Status> statuses_;  // MPI_STATUSES_IGNORE is unknown to LAMMPS' stand-in for MPI
};

}  // namespace LAMMPS_NS

#endif
