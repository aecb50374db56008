// pair_style painn: networks of painn_ase in LAMMPS, across its MPI ranks (docs/engines.md).
#ifdef PAIR_CLASS
// clang-format off
PairStyle(painn,PairPainn);
// clang-format on
#else

#ifndef LMP_PAIR_PAINN_H
#define LMP_PAIR_PAINN_H

#include <memory>
#include <string>
#include <vector>

#include "pair.h"
#include "painn_borders.h"

namespace LAMMPS_NS {

class PairPainn : public Pair {
  public:
    explicit PairPainn(class LAMMPS* lmp);
    ~PairPainn() override;

    void settings(int narg, char** arg) override;
    void coeff(int narg, char** arg) override;
    void init_style() override;
    double init_one(int i, int j) override;
    void compute(int eflag, int vflag) override;
    void finish() override;
    void* extract_peratom(const char* name, int& columns) override;
    double memory_usage() override;

    int pack_forward_comm(int n, int* list, double* buffer, int, int*) override;
    void unpack_forward_comm(int n, int first, double* buffer) override;
    int pack_reverse_comm(int n, int first, double* buffer) override;
    void unpack_reverse_comm(int n, int* list, double* buffer) override;

  private:
    struct Member;  // one model of the committee, or the only one

    void load(const std::string& file);
    void refuse(const std::string& problem);
    void allocate();
    void find_owners();
    void follow();
    void evaluate(Member& member);
    void add_up();
    void measure_disagreement();
    template <class Work>
    void exchange(Work work);
    void check(const Member& member, int failed);
    bool committee() const;

    std::vector<std::unique_ptr<Member>> members_;
    Member* current_ = nullptr;  // whose forces LAMMPS carries
    Borders borders_;
    int threads_ = 1, all_ = -1;         // atoms and ghosts of the present lists
    double unit_ = 1.0;                  // LAMMPS' unit of energy in one eV
    std::vector<int> number_of_type_;    // 0: another pair style's
    std::vector<int> numbers_, counts_;  // of atoms and ghosts; of atoms
    std::vector<const int*> rows_;       // neighbours
    std::vector<double> owners_;         // (all, 2) rank and row there
    std::vector<double> spread_;         // forces_std of each atom
    double spent_ = 0, exchanging_ = 0;  // s
};

}  // namespace LAMMPS_NS

#endif
#endif
