#include "painn_borders.h"

#include <algorithm>
#include <numeric>
#include <tuple>

using namespace LAMMPS_NS;

void Borders::Side::count() {
    starts.assign(counts.size(), 0);
    std::partial_sum(counts.begin(), counts.end() - 1, starts.begin() + 1);
    rows.resize(starts.back() + counts.back());
}

// An atom that is several ghosts here, images at different faces, is asked for once: the first of them stands for all.
void Borders::set(int owned, int all, const double* owners) {
    int me, ranks;
    MPI_Comm_rank(world_, &me);
    MPI_Comm_size(world_, &ranks);
    images_.assign(all - owned, -1);
    std::vector<std::tuple<int, int, int>> others;  // rank, row there, row here
    for (int j = owned; j < all; j++) {
        const int rank = (int)owners[2 * (size_t)j], row = (int)owners[2 * (size_t)j + 1];
        if (rank == me)
            images_[j - owned] = row;
        else
            others.emplace_back(rank, row, j);
    }
    std::sort(others.begin(), others.end());
    std::vector<int> wanted, rows;
    ghosts_.counts.assign(ranks, 0);
    int last_rank = -1, last_row = -1;
    for (const auto& [rank, row, here] : others) {
        if (rank == last_rank && row == last_row) {
            images_[here - owned] = rows.back();
            continue;
        }
        rows.push_back(here);
        wanted.push_back(last_row = row);
        ghosts_.counts[last_rank = rank]++;
    }
    ghosts_.count();
    ghosts_.rows = rows;
    atoms_.counts.resize(ranks);
    MPI_Alltoall(ghosts_.counts.data(), 1, MPI_INT, atoms_.counts.data(), 1, MPI_INT, world_);
    atoms_.count();
    MPI_Alltoallv(wanted.data(), ghosts_.counts.data(), ghosts_.starts.data(), MPI_INT, atoms_.rows.data(),
                  atoms_.counts.data(), atoms_.starts.data(), MPI_INT, world_);
}

void Borders::to_ghosts(PainnDomain* domain, int features) { carry(domain, PAINN_NODES, features, atoms_, ghosts_); }

void Borders::to_owners(PainnDomain* domain, int features) { carry(domain, PAINN_HEARD, features, ghosts_, atoms_); }

void Borders::carry(PainnDomain* domain, int border, int features, const Side& from, const Side& to) {
    const size_t width = painn_border_width(features, border);
    sent_.resize(width * from.rows.size());
    received_.resize(width * to.rows.size());
    requests_.clear();
    const int ranks = (int)from.counts.size();
    for (int rank = 0; rank < ranks; rank++)
        if (to.counts[rank])
            MPI_Irecv(received_.data() + width * to.starts[rank], (int)width * to.counts[rank], MPI_FLOAT, rank, border, world_,
                      &requests_.emplace_back());
    for (int rank = 0; rank < ranks; rank++) {
        if (!from.counts[rank]) continue;
        float* buffer = sent_.data() + width * from.starts[rank];
        painn_border_get(domain, border, from.counts[rank], from.rows.data() + from.starts[rank], 0, buffer);
        MPI_Isend(buffer, (int)width * from.counts[rank], MPI_FLOAT, rank, border, world_, &requests_.emplace_back());
    }
    statuses_.resize(requests_.size());
    MPI_Waitall((int)requests_.size(), requests_.data(), statuses_.data());
    painn_border_put(domain, border, (int64_t)to.rows.size(), to.rows.data(), 0, received_.data());
}

double Borders::memory_usage() const {
    return 4.0 * (double)(sent_.capacity() + received_.capacity() + images_.capacity() + 2 * atoms_.rows.capacity());
}
