// The file, little-endian throughout (painn_ase/lammps/model_file.py):
//
//     8 bytes  "painn\r\n\0"     a transfer as text would change it
//     uint32   format            raised with every change of what follows
//     uint32   reserved, 0
//     uint64   bytes of the records
//     32 bytes SHA-256 of the records: against damage; whoever forges a file can forge its hash
//     records: tag (8 bytes, padded with zeros), int32 a, int32 b, uint64 bytes, data
//
// Sizes come first; every further record's length follows from them, and each is there exactly as often as they say.
#include "model_file.hpp"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sstream>
#include <stdexcept>

#include "sha256.hpp"

namespace painn {

namespace {

constexpr uint32_t FORMAT = 1;
constexpr size_t HEADER = 56, RECORD = 24;
constexpr int MAX_LAYERS = 16, MAX_WIDTH = 4096, MAX_ELEMENTS = 100;

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what); }

template <class T>
T value(const char* data) {  // records are not aligned
    T result;
    std::memcpy(&result, data, sizeof(T));
    return result;
}

template <class T>
std::vector<T> array(const char* data, size_t count) {
    std::vector<T> values(count);
    if (count) std::memcpy(values.data(), data, count * sizeof(T));
    for (T x : values)
        if (!std::isfinite((double)x)) fail("a weight is not a finite number");
    return values;
}

struct Record {
    std::string tag;
    int32_t a, b;
    const char* data;
    size_t bytes;

    void expect(size_t wanted) const {
        if (bytes != wanted)
            fail("record '" + tag + "': expected " + std::to_string(wanted) + " bytes; got " + std::to_string(bytes));
    }
    int index(int count) const {
        if (a < 0 || a >= count) fail("record '" + tag + "': expected a number below " + std::to_string(count));
        return a;
    }
};

// The records of a file whose frame is sound.
std::vector<Record> records(const std::string& bytes) {
    if (bytes.size() < HEADER || bytes.compare(0, 8, std::string("painn\r\n\0", 8)) != 0)
        fail("not a packed model of painn_ase: make one by `painn-ase lammps pack MODEL FILE`");
    const auto format = value<uint32_t>(bytes.data() + 8);
    if (format != FORMAT)
        fail("the file has format " + std::to_string(format) + ", this pair style reads " + std::to_string(FORMAT) +
             ": pack the model and build the pair style with the same painn_ase");
    if (value<uint64_t>(bytes.data() + 16) != bytes.size() - HEADER) fail("the file is cut off or longer than it says");
    if (bytes.compare(24, 32, sha256(bytes.substr(HEADER))) != 0)
        fail("the file is damaged: its content does not fit its hash");
    std::vector<Record> found;
    for (size_t at = HEADER; at < bytes.size();) {
        if (bytes.size() - at < RECORD) fail("the file ends within a record");
        const char* p = bytes.data() + at;
        const auto size = value<uint64_t>(p + 16);
        at += RECORD;
        if (size > bytes.size() - at) fail("the file ends within a record");
        found.push_back(
            {std::string(p, strnlen(p, 8)), value<int32_t>(p + 8), value<int32_t>(p + 12), p + RECORD, (size_t)size});
        at += size;
    }
    return found;
}

PainnSizes sizes_of(const Record& r) {
    r.expect(sizeof(PainnSizes));
    const auto s = value<PainnSizes>(r.data);
    const auto once_or_each = [&](int32_t count) { return count == 1 || count == s.interactions; };
    const bool sound = s.features >= 16 && s.features <= 256 && s.features % 16 == 0 && s.interactions >= 1 &&
                       s.interactions <= 64 && once_or_each(s.filters) && once_or_each(s.sets) && s.intervals >= 1 &&
                       s.intervals <= 65536 && s.elements >= 1 && s.elements <= 256 && s.cutoff > 0 && s.cutoff <= 100 &&
                       s.epsilon >= 0 && s.epsilon < 1e6;
    if (!sound) fail("record 'sizes': no network has these");
    return s;
}

// Gives the records to the kernel, and counts them.
class Loader {
  public:
    Loader(const PainnSizes& sizes, PainnModel* model)
        : s_(sizes), model_(model), F_(sizes.features), rows_((size_t)sizes.intervals + 5) {}

    bool take(const Record& r) {
        if (r.tag == "filter")
            filter(r);
        else if (r.tag == "radial")
            radial(r);
        else if (r.tag == "embed")
            embedding(r);
        else if (r.tag == "linear")
            linear(r);
        else if (r.tag == "head")
            head(r);
        else
            return false;
        if (seen_[r.tag + ' ' + std::to_string(r.tag == "filter" || r.tag == "linear" ? r.a : 0) + ' ' +
                  std::to_string(r.tag == "linear" ? r.b : 0)]++)
            fail("record '" + r.tag + "' is there twice");
        return true;
    }
    void finish() const {
        if (seen_.size() != (size_t)s_.filters + 5 * (size_t)s_.sets + 3) fail("weights are missing");
    }

  private:
    void check(int failed) const {
        if (failed) fail(painn_error(model_));
    }
    void filter(const Record& r) {
        r.expect(8 * rows_ * 3 * F_);
        check(painn_set_filter(model_, r.index(s_.filters), array<double>(r.data, rows_ * 3 * F_).data()));
    }
    void radial(const Record& r) {
        const size_t count = r.index(257);
        if (!count) fail("record 'radial': expected at least one function");
        r.expect(8 * count * (rows_ + 2 * F_));
        const auto values = array<double>(r.data, count * (rows_ + 2 * F_));
        check(painn_set_radial(model_, r.a, values.data(), values.data() + count * rows_));
    }
    void embedding(const Record& r) {
        const size_t count = (size_t)s_.elements * F_;
        r.expect(16 * count);
        const auto values = array<float>(r.data, 4 * count);
        check(painn_set_embedding(model_, values.data(), values.data() + count));
    }
    void linear(const Record& r) {
        const size_t outputs[] = {1, 3, 2, 1, 3}, inputs[] = {1, 1, 1, 2, 1};  // times F, in the order of PainnLinear
        const int which = r.index(5);
        if (r.b < 0 || r.b >= s_.sets) fail("record 'linear': expected a set below " + std::to_string(s_.sets));
        const size_t out = outputs[which] * F_, weights = out * inputs[which] * F_;
        const bool bias = which != PAINN_MIX;
        r.expect(4 * (weights + (bias ? out : 0)));
        const auto values = array<float>(r.data, weights + (bias ? out : 0));
        check(painn_set_linear(model_, which, r.b, values.data(), bias ? values.data() + weights : nullptr));
    }
    // scale, references (100), widths (depth + 1), then weight and bias of each layer
    void head(const Record& r) {
        const int depth = r.index(MAX_LAYERS + 1);
        const size_t fixed = 8 * (1 + MAX_ELEMENTS) + 4 * ((size_t)depth + 1);
        if (depth < 1 || r.bytes < fixed) fail("record 'head' is too short");
        const auto numbers = array<double>(r.data, 1 + MAX_ELEMENTS);
        const auto widths = array<int32_t>(r.data + 8 * (1 + MAX_ELEMENTS), (size_t)depth + 1);
        if ((size_t)widths.front() != F_ || widths.back() != 1)
            fail("record 'head': expected layers from features to one number");
        std::vector<size_t> starts{0};
        for (int k = 0; k < depth; k++) {
            if (widths[k] < 1 || widths[k] > MAX_WIDTH || widths[k + 1] < 1 || widths[k + 1] > MAX_WIDTH)
                fail("record 'head': expected layers of 1 to " + std::to_string(MAX_WIDTH) + " neurons");
            starts.push_back(starts.back() + (size_t)widths[k] * widths[k + 1]);
            starts.push_back(starts.back() + widths[k + 1]);
        }
        r.expect(fixed + 4 * starts.back());
        const auto values = array<float>(r.data + fixed, starts.back());
        std::vector<const float*> tensors;
        for (int k = 0; k < 2 * depth; k++) tensors.push_back(values.data() + starts[k]);
        const PainnHeadSpec spec{PAINN_ENERGY, depth, widths.data(), tensors.data(), numbers[0], numbers.data() + 1, nullptr, 0,
                                 0.0};
        check(painn_add_head(model_, &spec));
    }

    const PainnSizes s_;
    PainnModel* model_;
    const size_t F_, rows_;
    std::map<std::string, int> seen_;
};

std::string text(const Record& r) {
    if (r.bytes > 4096) fail("record '" + r.tag + "' is too long");
    std::string plain(r.data, r.bytes);
    for (char& c : plain)
        if ((unsigned char)c < ' ' || c == 127) c = '?';  // it is printed
    return plain;
}

}  // namespace

PackedModel::PackedModel(const std::string& bytes) {
    const std::vector<Record> all = records(bytes);
    if (all.size() < 3 || all[0].tag != "sizes" || all[1].tag != "elements" || all[2].tag != "name")
        fail("expected records 'sizes', 'elements' and 'name' first");
    sizes = sizes_of(all[0]);
    std::istringstream words(text(all[1]));
    for (std::string symbol, number; words >> symbol >> number;) {
        symbols.push_back(symbol);
        numbers.push_back(std::atoi(number.c_str()));
        if (numbers.back() < 1 || numbers.back() >= MAX_ELEMENTS || numbers.back() >= sizes.elements)
            fail("record 'elements': expected symbols and atomic numbers");
    }
    if (symbols.empty()) fail("record 'elements' is empty");
    name = text(all[2]);
    const char* wanted = std::getenv("PAINN_ASE_INSTRUCTION_SET");
    model = painn_new(&sizes, wanted ? wanted : "");
    if (!model) fail("no memory for the model, or this machine lacks the instruction set in PAINN_ASE_INSTRUCTION_SET");
    try {
        Loader loader(sizes, model);
        for (size_t k = 3; k < all.size(); k++)
            if (!loader.take(all[k])) fail("unknown record '" + text({"", 0, 0, all[k].tag.data(), all[k].tag.size()}) + "'");
        loader.finish();
    } catch (...) {
        painn_free(model);
        throw;
    }
}

PackedModel::~PackedModel() { painn_free(model); }

int32_t PackedModel::number(const std::string& symbol) const {
    for (size_t k = 0; k < symbols.size(); k++)
        if (symbols[k] == symbol) return numbers[k];
    return 0;
}

}  // namespace painn
