"""The Spectrum object: arithmetic with errors, broadening, units, files."""

import errno

import numpy as np
import pytest

from painn_ase.errors import InputError, StorageError
from painn_ase.spectra import Spectrum, infrared, load_spectra, plot_spectra, raman, save_spectra

AXIS = np.linspace(0, 4000, 2001)


def sampled(seed=0, position=1500.0):
    """A band with independent samples of its height."""
    rng = np.random.default_rng(seed)
    line = Spectrum.from_lines([position], [50.0], fwhm=30, wavenumbers=AXIS).intensity
    samples = line * rng.normal(1, 0.1, size=(8, 1))
    error = samples.std(axis=0, ddof=1) / np.sqrt(8)
    return Spectrum(AXIS, samples.mean(axis=0), error, "km/mol·cm", "infrared", {"temperature / K": 300.0}, samples)


def test_a_spectrum_cannot_be_changed():
    spectrum = sampled()
    with pytest.raises(ValueError, match="read-only"):
        spectrum.intensity[0] = 1
    with pytest.raises(AttributeError):
        spectrum.unit = "m²/mol"
    intensity = np.ones(3)
    made = Spectrum(np.arange(3.0), intensity)
    intensity[0] = 7
    assert made.intensity[0] == 1


@pytest.mark.parametrize("shape", ["gaussian", "lorentzian"])
def test_broadening_keeps_the_area_even_at_the_ends_of_the_axis(shape):
    spectrum = Spectrum.from_lines([100, 1500, 3950], [10, 20, 30], fwhm=20, wavenumbers=AXIS)
    broad = spectrum.broadened(60, shape)
    # sums are kept exactly; the trapezoid gives the two end points half a weight
    assert broad.intensity.sum() == pytest.approx(spectrum.intensity.sum())
    assert broad.area()[0] == pytest.approx(spectrum.area()[0], rel=5e-3)
    assert broad.intensity.max() < spectrum.intensity.max()


def test_gaussians_broaden_in_quadrature_and_lorentzians_add():
    gaussian = Spectrum.from_lines([2000], [1], fwhm=30, wavenumbers=AXIS).broadened(40)
    assert gaussian.intensity == pytest.approx(
        Spectrum.from_lines([2000], [1], fwhm=50, wavenumbers=AXIS).intensity, abs=1e-6
    )
    lorentzian = Spectrum.from_lines([2000], [1], fwhm=30, wavenumbers=AXIS, shape="lorentzian")
    wide = Spectrum.from_lines([2000], [1], fwhm=70, wavenumbers=AXIS, shape="lorentzian")
    # the tails beyond the axis are missing from the sum: 0.7 % of the area
    assert lorentzian.broadened(40, "lorentzian").intensity == pytest.approx(
        wide.intensity, abs=0.01 * wide.intensity.max()
    )


def test_area_of_lines_is_their_strength():
    spectrum = Spectrum.from_lines([1000, 3000], [12, 34], fwhm=20, wavenumbers=AXIS)
    assert spectrum.area(900, 1100)[0] == pytest.approx(12)
    assert spectrum.area()[0] == pytest.approx(46)
    assert spectrum.area(950.5, 1000)[0] == pytest.approx(6, rel=1e-3)  # half a band, to a point off the grid


def test_sums_and_differences_of_independent_spectra_add_errors_in_quadrature():
    a, b = sampled(0), sampled(1)
    both, difference = a + b, a - b
    assert both.intensity == pytest.approx(a.intensity + b.intensity)
    assert both.standard_error == pytest.approx(np.sqrt(a.standard_error**2 + b.standard_error**2))
    assert difference.standard_error == pytest.approx(both.standard_error)
    assert ((a + b) / 2).standard_error == pytest.approx(both.standard_error / 2)
    assert (-2 * a).standard_error == pytest.approx(2 * a.standard_error)
    assert both.metadata == {"temperature / K": 300.0}


def test_area_error_is_the_scatter_of_the_samples_and_without_samples_a_bound():
    spectrum = sampled()
    area, error = spectrum.area(1400, 1600)
    # every sample is the same band times a number, so relative errors agree
    assert error / area == pytest.approx(spectrum.standard_error[750] / spectrum.intensity[750], rel=1e-6)
    bare = Spectrum(spectrum.wavenumbers, spectrum.intensity, spectrum.standard_error)
    assert bare.area(1400, 1600)[1] == pytest.approx(error)  # fully correlated: the bound is reached
    assert Spectrum(spectrum.wavenumbers, spectrum.intensity).area()[1] is None


def test_units_convert_there_and_back():
    spectrum = sampled()
    decadic = spectrum.to("L/mol/cm")
    # 1 km/mol per cm⁻¹ = 10 m²/mol = 100 L/mol/cm Napierian = 43.43 L/mol/cm decadic
    assert decadic.intensity == pytest.approx(43.4294 * spectrum.intensity, rel=1e-5)
    assert decadic.to("km/mol·cm").intensity == pytest.approx(spectrum.intensity)
    assert decadic.unit == "L/mol/cm"
    with pytest.raises(InputError, match="converts to L/mol/cm, m²/mol"):
        spectrum.to("Debye")


def test_normalized_has_maximum_one_in_the_range():
    assert sampled().normalized(1000, 2000).intensity.max() == pytest.approx(1)
    with pytest.raises(InputError, match="no positive intensity"):
        Spectrum(AXIS, -np.ones_like(AXIS)).normalized()


def test_resampling_a_line_through_points_is_exact_on_straight_pieces():
    spectrum = Spectrum([0, 10, 30], [0, 10, -10], [1, 1, 1])
    assert spectrum.resampled([0, 5, 20, 30]).intensity == pytest.approx([0, 5, 0, -10])
    with pytest.raises(InputError, match=r"within 0 \.\. 30"):
        spectrum.resampled([0, 40])


@pytest.mark.parametrize("suffix", [".csv", ".h5", ".hdf5"])
def test_a_saved_spectrum_comes_back_the_same(tmp_path, suffix):
    spectrum = sampled()
    spectrum.save(tmp_path / f"ir{suffix}")
    back = Spectrum.load(tmp_path / f"ir{suffix}")
    assert np.array_equal(back.wavenumbers, spectrum.wavenumbers)
    assert np.array_equal(back.intensity, spectrum.intensity)
    assert np.array_equal(back.standard_error, spectrum.standard_error)
    assert (back.unit, back.kind, back.metadata) == (spectrum.unit, spectrum.kind, spectrum.metadata)
    if suffix != ".csv":
        assert np.array_equal(back.samples, spectrum.samples)


def test_csv_without_errors_has_two_columns_with_units(tmp_path):
    Spectrum([1.0, 2.0], [3.0, 4.0], unit="km/mol·cm", kind="infrared").save(tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text(encoding="utf-8").splitlines()
    assert lines[-3:] == ["wavenumber / cm⁻¹,intensity / km/mol·cm", "1.0,3.0", "2.0,4.0"]
    assert Spectrum.load(tmp_path / "a.csv").standard_error is None


def test_csv_opens_as_a_plain_table(tmp_path):
    spectrum = sampled()
    spectrum.save(tmp_path / "a.csv")
    table = np.genfromtxt(tmp_path / "a.csv", delimiter=",", comments="#", skip_header=5)
    assert np.allclose(table[:, 1], spectrum.intensity)


def test_several_spectra_share_a_file(tmp_path):
    spectra = {"a": sampled(0), "β": sampled(1)}
    save_spectra(tmp_path / "both.h5", spectra)
    back = load_spectra(tmp_path / "both.h5")
    assert set(back) == {"a", "β"}
    assert np.array_equal(back["β"].intensity, spectra["β"].intensity)
    with pytest.raises(InputError, match="load_spectra"):
        Spectrum.load(tmp_path / "both.h5")
    with pytest.raises(InputError, match="CSV file holds one"):
        save_spectra(tmp_path / "both.csv", spectra)


def test_raman_spectra_come_back_with_their_undefined_ratios(tmp_path):
    rng = np.random.default_rng(0)
    half = rng.normal(size=(6, 3000, 3, 3))
    spectra = raman(half + half.swapaxes(2, 3), timestep=1.0, temperature=300, resolution=50)
    spectra.save(tmp_path / "raman.h5")
    back = type(spectra).load(tmp_path / "raman.h5")
    assert np.array_equal(back.depolarization.intensity, spectra.depolarization.intensity, equal_nan=True)
    assert np.array_equal(back.parallel.samples, spectra.parallel.samples)
    assert back.band_depolarization(1000, 2000) == spectra.band_depolarization(1000, 2000)
    sampled().save(tmp_path / "ir.h5")
    with pytest.raises(InputError, match="expected the Raman spectra"):
        type(spectra).load(tmp_path / "ir.h5")


def test_a_computed_spectrum_survives_csv_with_its_story(tmp_path):
    rng = np.random.default_rng(0)
    spectrum = infrared(rng.normal(size=(4000, 3)), timestep=0.5, temperature=300, resolution=50)
    spectrum.save(tmp_path / "ir.csv")
    assert Spectrum.load(tmp_path / "ir.csv").metadata == spectrum.metadata


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("1,2\n3,4\n", "a.csv", "not a spectrum written by this package"),
        ("text", "a.h5", "not a readable HDF5 file"),
        ("text", "a.txt", r"ends in \.csv"),
        (None, "a.csv", "no such file"),
    ],
)
def test_files_that_hold_no_spectrum_are_refused(tmp_path, content, name, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        Spectrum.load(tmp_path / name)


def test_a_foreign_hdf5_file_is_refused(tmp_path):
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not one with spectra"):
        Spectrum.load(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Spectrum([2.0, 1.0], [0.0, 0.0]), "strictly increasing"),
        (lambda: Spectrum([1.0, np.nan], [0.0, 0.0]), "finite"),
        (lambda: Spectrum([1.0, 2.0], [0.0, 0.0, 0.0]), "one value for each of 2"),
        (lambda: Spectrum([1.0, 2.0], ["a", "b"]), "real numbers"),
        (lambda: Spectrum([1.0, 2.0], None), "one value for each|real numbers"),
        (lambda: sampled() + sampled().to("m²/mol"), "cannot combine"),
        (lambda: sampled() + sampled().between(0, 100), "resampled"),
        (lambda: sampled().between(4100, 4200), "fewer than 2 points"),
        (lambda: sampled().area(300, 200), "low < high"),
        (lambda: sampled().broadened(0), "fwhm"),
        (lambda: sampled().broadened(10, "square"), "'gaussian' or 'lorentzian'"),
        (lambda: Spectrum([0, 1, 3], [0, 0, 0]).broadened(1), "evenly spaced"),
        (lambda: Spectrum.from_lines([1, 2], [1], fwhm=1, wavenumbers=AXIS), "one per line"),
        (lambda: save_spectra("x.h5", {}), "at least one"),
    ],
)
def test_misuse_is_a_sentence(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize("name", ["a.h5", "a.csv", "a.png"])
def test_a_file_that_cannot_be_finished_leaves_the_one_before(name, tmp_path, monkeypatch):
    path = tmp_path / name

    def write(spectrum):
        plot_spectra(spectrum, path=path) if path.suffix == ".png" else spectrum.save(path)

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    write(sampled(seed=0))
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("painn_ase.files.os.fsync", full)
        with pytest.raises(StorageError, match="cannot be written: No space left"):
            write(sampled(seed=1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    write(sampled(seed=1))
    assert path.read_bytes() != before
