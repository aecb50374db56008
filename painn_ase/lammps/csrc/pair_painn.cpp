// Ghosts reach as far as one cutoff. Between interactions features go from owners to ghosts, and what ghosts were answered
// back to owners (painn_borders.h).
#include "pair_painn.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <stdexcept>

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "model_file.hpp"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

using namespace LAMMPS_NS;

namespace {

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace

struct PairPainn::Member {
    explicit Member(const std::string& bytes) : packed(bytes) {}
    ~Member() { painn_domain_free(domain); }

    painn::PackedModel packed;
    PainnDomain* domain = nullptr;
    std::vector<double> energies, forces, virials;  // (atoms), (all, 3), (all, 3, 3), eV and eV/Å
    double virial[9] = {};
};

PairPainn::PairPainn(LAMMPS* lmp) : Pair(lmp), borders_(world) {
    restartinfo = 0;
    one_coeff = 1;
    manybody_flag = 1;
    single_enable = 0;
    centroidstressflag = CENTROID_NOTAVAIL;
    comm_forward = 2;  // numbers an atom: who owns it
    comm_reverse = 3;  // a model's forces
    unit_convert_flag = utils::get_supported_conversions(utils::ENERGY);
}

PairPainn::~PairPainn() {
    delete[] pvector;
    pvector = nullptr;
    if (!allocated) return;
    memory->destroy(setflag);
    memory->destroy(cutsq);
}

bool PairPainn::committee() const { return members_.size() > 1; }

// pair_style painn FILE [FILE ...] [threads N]
void PairPainn::settings(int narg, char** arg) {
    int files = 0;
    while (files < narg && strcmp(arg[files], "threads")) files++;
    if (!files || (narg != files && narg != files + 2))
        error->all(FLERR, "pair_style painn: expected FILE, more FILEs for a committee, and perhaps: threads N");
    threads_ = narg == files ? 1 : utils::inumeric(FLERR, arg[files + 1], false, lmp);
    if (threads_ < 1 || threads_ > 1024) error->all(FLERR, "pair_style painn: expected 1 to 1024 threads");
    members_.clear();
    all_ = -1;
    for (int k = 0; k < files; k++) load(arg[k]);
    nextra = committee() ? 2 : 0;  // the largest forces_std, and the ID of its atom
    delete[] pvector;
    pvector = nextra ? new double[2]() : nullptr;
}

// Ends all ranks with the problem of the first that has one; called by all. Where a rank ends by itself, MPI may kill it
// before its sentence is read.
void PairPainn::refuse(const std::string& problem) {
    const int own = problem.empty() ? comm->nprocs : comm->me;
    int first;
    MPI_Allreduce(&own, &first, 1, MPI_INT, MPI_MIN, world);
    if (first == comm->nprocs) return;
    int length = (int)problem.size();
    MPI_Bcast(&length, 1, MPI_INT, first, world);
    std::string text = problem;
    text.resize(length);
    MPI_Bcast(&text[0], length, MPI_CHAR, first, world);
    error->all(FLERR, "pair_style painn: " + text);
}

void PairPainn::load(const std::string& name) {
    std::string problem;
    try {
        std::ifstream file(name, std::ios::binary);
        if (!file) throw std::runtime_error("cannot be opened");
        const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
        members_.push_back(std::make_unique<Member>(bytes));
    } catch (const std::exception& e) {
        problem = e.what();
    }
    refuse(problem.empty() ? problem : name + ": " + problem);
    if (comm->me) return;
    const painn::PackedModel& packed = members_.back()->packed;
    std::string elements;
    for (const std::string& symbol : packed.symbols) elements += " " + symbol;
    utils::logmesg(lmp, "painn: {} is {}; elements{}; cutoff {} Angstrom\n", name, packed.name, elements, packed.sizes.cutoff);
}

// pair_coeff * * ELEMENT ...: one for each atom type, NULL for types of another pair style in a hybrid one
void PairPainn::coeff(int narg, char** arg) {
    const int types = atom->ntypes;
    if (narg != 2 + types || strcmp(arg[0], "*") || strcmp(arg[1], "*"))
        error->all(FLERR,
                   "pair_coeff of painn: expected * * and the element of each of " + std::to_string(types) + " atom types");
    number_of_type_.assign(types + 1, 0);
    std::vector<int32_t> elements;
    for (int k = 1; k <= types; k++) {
        if (!strcmp(arg[1 + k], "NULL")) continue;
        for (const auto& member : members_) {
            number_of_type_[k] = member->packed.number(arg[1 + k]);
            if (!number_of_type_[k])
                error->all(FLERR, "pair_coeff of painn: " + member->packed.name + " was not trained on '" + arg[1 + k] + "'");
        }
        elements.push_back(number_of_type_[k]);
    }
    if (elements.empty()) error->all(FLERR, "pair_coeff of painn: expected at least one element");
    for (const auto& member : members_) {
        painn_domain_free(member->domain);
        member->domain = painn_domain_new(member->packed.model, (int32_t)elements.size(), elements.data(), threads_);
        refuse(member->domain ? "" : painn_error(member->packed.model));
    }
    all_ = -1;
    allocate();
    for (int i = 1; i <= types; i++)
        for (int j = 1; j <= types; j++) setflag[i][j] = number_of_type_[i] && number_of_type_[j];
}

void PairPainn::allocate() {
    if (allocated) return;
    const int n = atom->ntypes + 1;
    memory->create(setflag, n, n, "pair:setflag");
    memory->create(cutsq, n, n, "pair:cutsq");
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) setflag[i][j] = 0;
    allocated = 1;
}

void PairPainn::init_style() {
    const bool real = !strcmp(update->unit_style, "real");
    if (!real && strcmp(update->unit_style, "metal"))
        error->all(FLERR, std::string("pair_style painn: expected units metal or real; got ") + update->unit_style);
    unit_ = real ? utils::get_conversion_factor(utils::ENERGY, utils::METAL2REAL) : 1.0;
    if (!force->newton_pair) error->all(FLERR, "pair_style painn needs newton on");
    if (committee() && !atom->tag_enable) error->all(FLERR, "a committee of pair_style painn needs atom IDs");
    for (int k = 1; k < 4; k++)
        if (atom->molecular != Atom::ATOMIC && force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0)
            error->all(FLERR, "pair_style painn needs special_bonds lj/coul 1 1 1: else LAMMPS leaves out bonded pairs");
    if (neighbor->nex_type || neighbor->nex_group || neighbor->nex_mol)
        error->all(FLERR,
                   "pair_style painn needs all pairs: remove neigh_modify exclude (fix setforce or fix move hold atoms)");
    // pairs of owned atoms once, pairs with a ghost in the lists of both owners
    neighbor->add_request(this, NeighConst::REQ_NEWTON_OFF);
}

double PairPainn::init_one(int, int) {
    double cutoff = 0;
    for (const auto& member : members_) cutoff = std::max(cutoff, member->packed.sizes.cutoff);
    return cutoff;
}

void PairPainn::compute(int eflag, int vflag) {
    const double start = seconds();
    ev_init(eflag, vflag);
    if (neighbor->ago == 0 || all_ < 0) follow();  // on all ranks alike: they exchange
    if (all_ != atom->nlocal + atom->nghost) error->one(FLERR, "pair_style painn: atoms changed, but not the lists of pairs");
    for (const auto& member : members_) evaluate(*member);
    add_up();
    if (committee()) measure_disagreement();
    if (vflag_fdotr) virial_fdotr_compute();
    spent_ += seconds() - start;
}

// Who owns each ghost, told by LAMMPS' own exchange.
void PairPainn::find_owners() {
    owners_.resize(2 * (size_t)all_);
    for (int i = 0; i < atom->nlocal; i++) {
        owners_[2 * (size_t)i] = comm->me;
        owners_[2 * (size_t)i + 1] = i;
    }
    exchange([&] {
        comm->forward_comm(this);
        borders_.set(atom->nlocal, all_, owners_.data());
    });
}

// New ghosts and pairs.
void PairPainn::follow() {
    const int any = *std::max_element(number_of_type_.begin(), number_of_type_.end());
    all_ = atom->nlocal + atom->nghost;
    numbers_.resize(all_);
    for (int i = 0; i < all_; i++) {  // atoms of another style have no pairs here, and their energies are left out
        const int z = number_of_type_[atom->type[i]];
        numbers_[i] = z ? z : any;
    }
    counts_.assign(atom->nlocal, 0);
    rows_.assign(atom->nlocal, nullptr);
    for (int k = 0; k < list->inum; k++) {
        const int i = list->ilist[k];
        counts_[i] = list->numneigh[i];
        rows_[i] = list->firstneigh[i];
    }
    find_owners();
    const double* x = all_ ? atom->x[0] : nullptr;
    const PainnDomainAtoms atoms{
        atom->nlocal, atom->nghost, numbers_.data(), counts_.data(), rows_.data(), NEIGHMASK, x, borders_.images().data()};
    for (const auto& member : members_) check(*member, painn_domain_set(member->domain, &atoms));
}

// Energies, forces and virials of one model; forces of ghosts are still apart.
void PairPainn::evaluate(Member& member) {
    const double* x = all_ ? atom->x[0] : nullptr;
    const int T = member.packed.sizes.interactions;
    const bool others = comm->nprocs > 1;  // else all ghosts are images
    for (int t = 0; t < T; t++) {
        if (t && others) exchange([&] { borders_.to_ghosts(member.domain, member.packed.sizes.features); });
        check(member, painn_domain_forward(member.domain, t, x));
    }
    for (int t = T - 1; t >= 0; t--) {
        check(member, painn_domain_backward(member.domain, t));
        if (t && others) exchange([&] { borders_.to_owners(member.domain, member.packed.sizes.features); });
    }
    member.energies.resize(atom->nlocal);
    member.forces.assign(3 * (size_t)all_, 0.0);
    member.virials.assign(vflag_atom ? 9 * (size_t)all_ : 0, 0.0);
    std::fill(member.virial, member.virial + 9, 0.0);
    check(member, painn_domain_read(member.domain, member.energies.data(), member.forces.data(), member.virial,
                                    vflag_atom ? member.virials.data() : nullptr));
}

// The mean of the models in LAMMPS' sums and units. LAMMPS' virial is minus the derivative by strain.
void PairPainn::add_up() {
    const double share = unit_ / (double)members_.size();
    const int rows[] = {0, 1, 2, 0, 0, 1}, columns[] = {0, 1, 2, 1, 2, 2};
    for (const auto& member : members_) {
        for (int i = 0; i < atom->nlocal && eflag_either; i++) {
            if (!number_of_type_[atom->type[i]]) continue;
            if (eflag_global) eng_vdwl += share * member->energies[i];
            if (eflag_atom) eatom[i] += share * member->energies[i];
        }
        for (int i = 0; i < all_; i++)
            for (int d = 0; d < 3; d++) atom->f[i][d] += share * member->forces[3 * (size_t)i + d];
        const auto entry = [&](const double* w, int k) {
            return 0.5 * share * (w[3 * rows[k] + columns[k]] + w[3 * columns[k] + rows[k]]);
        };
        for (int k = 0; k < 6 && vflag_global; k++) virial[k] -= entry(member->virial, k);
        for (int i = 0; i < all_ && vflag_atom; i++)
            for (int k = 0; k < 6; k++) vatom[i][k] -= entry(member->virials.data() + 9 * (size_t)i, k);
    }
}

// forces_std as of painn_ase's committees: the length of the standard deviation (M - 1) of an atom's force vector.
void PairPainn::measure_disagreement() {
    for (const auto& member : members_) {
        current_ = member.get();
        exchange([&] { comm->reverse_comm(this); });
    }
    const double models = (double)members_.size();
    struct {
        double value;
        int rank;
    } mine{-1.0, comm->me}, largest;
    double tag = 0;
    spread_.resize(atom->nmax);
    for (int i = 0; i < atom->nlocal; i++) {
        double square = 0;
        for (size_t k = 3 * (size_t)i; k < 3 * (size_t)i + 3; k++) {
            double mean = 0;
            for (const auto& member : members_) mean += member->forces[k] / models;
            for (const auto& member : members_) square += (member->forces[k] - mean) * (member->forces[k] - mean);
        }
        spread_[i] = unit_ * std::sqrt(square / (models - 1));
        if (spread_[i] > mine.value) {
            mine.value = spread_[i];
            tag = (double)atom->tag[i];
        }
    }
    MPI_Allreduce(&mine, &largest, 1, MPI_DOUBLE_INT, MPI_MAXLOC, world);
    const bool here = largest.rank == comm->me;  // compute pair adds up the ranks
    pvector[0] = here ? largest.value : 0.0;
    pvector[1] = here ? tag : 0.0;
}

void* PairPainn::extract_peratom(const char* name, int& columns) {
    if (strcmp(name, "forces_std") || !committee()) return nullptr;
    columns = 0;
    spread_.resize(std::max((size_t)atom->nmax, (size_t)1));
    return spread_.data();
}

int PairPainn::pack_forward_comm(int n, int* list, double* buffer, int, int*) {
    for (int k = 0; k < n; k++) std::copy_n(owners_.data() + 2 * (size_t)list[k], 2, buffer + 2 * (size_t)k);
    return 2 * n;
}

void PairPainn::unpack_forward_comm(int n, int first, double* buffer) {
    std::copy_n(buffer, 2 * (size_t)n, owners_.data() + 2 * (size_t)first);
}

int PairPainn::pack_reverse_comm(int n, int first, double* buffer) {
    std::copy_n(current_->forces.data() + 3 * (size_t)first, 3 * (size_t)n, buffer);
    return 3 * n;
}

void PairPainn::unpack_reverse_comm(int n, int* list, double* buffer) {
    for (int k = 0; k < n; k++)
        for (int d = 0; d < 3; d++) current_->forces[3 * (size_t)list[k] + d] += buffer[3 * (size_t)k + d];
}

void PairPainn::finish() {
    if (comm->me == 0)
        utils::logmesg(lmp, "painn: {:.3f} s on rank 0, {:.3f} s of it exchange; {} atoms, {} ghosts\n", spent_, exchanging_,
                       atom->nlocal, atom->nghost);
    spent_ = exchanging_ = 0;
}

double PairPainn::memory_usage() {
    double bytes = Pair::memory_usage() + borders_.memory_usage();
    for (const auto& member : members_)
        bytes += 8.0 * (double)(member->energies.capacity() + member->forces.capacity() + member->virials.capacity());
    return bytes;
}

template <class Work>
void PairPainn::exchange(Work work) {
    const double start = seconds();
    work();
    exchanging_ += seconds() - start;
}

void PairPainn::check(const Member& member, int failed) {
    if (failed) error->one(FLERR, std::string("pair_style painn: ") + painn_domain_error(member.domain));
}
