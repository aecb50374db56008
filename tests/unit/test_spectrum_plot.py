"""Figures hold what was asked for, and leave matplotlib as it was."""

import sys

import numpy as np
import pytest

from painn_ase.errors import InputError, MissingPackageError
from painn_ase.spectra import Spectrum, Sticks, plot_spectra, raman

AXIS = np.arange(0, 4001, 4.0)
IR = {"unit": "km/mol·cm", "kind": "infrared"}


def ir(scale=1.0, error=None):
    line = scale * Spectrum.from_lines([1000, 3000], [10, 20], fwhm=30, wavenumbers=AXIS, **IR)
    return Spectrum(AXIS, line.intensity, error, **IR)


def lines(axes):
    return {line.get_label(): line for line in axes.get_lines()}


def test_overlay_draws_every_spectrum_with_its_error_band():
    pytest.importorskip("matplotlib")
    figure = plot_spectra({"300 K": ir(error=np.full_like(AXIS, 0.1)), "600 K": ir(0.5)})
    (axes,) = figure.axes
    assert set(lines(axes)) == {"300 K", "600 K"}
    assert len(axes.collections) == 1  # one of them has errors
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["300 K", "600 K"]
    assert "km mol" in axes.get_ylabel()
    assert "cm" in axes.get_xlabel()


def test_experiment_in_another_unit_is_scaled_to_the_maximum_and_labelled_so():
    pytest.importorskip("matplotlib")
    measured = Spectrum(AXIS + 0.5, 7 * ir().intensity, unit="absorbance", kind="infrared")
    (axes,) = plot_spectra(ir(), experiment=measured, limits=(500, 3500)).axes
    drawn = lines(axes)["experiment (scaled)"].get_ydata()
    assert np.max(drawn) == pytest.approx(ir().intensity.max())
    (axes,) = plot_spectra(ir(), experiment=ir(0.5)).axes
    assert np.max(lines(axes)["experiment"].get_ydata()) == pytest.approx(0.5 * ir().intensity.max())


def test_sticks_have_an_axis_of_their_own_with_a_common_zero():
    pytest.importorskip("matplotlib")
    left, right = plot_spectra(ir(), sticks=Sticks([1000, 3000], [10, 20])).axes
    segments = right.collections[0].get_segments()
    assert [tuple(segment[1]) for segment in segments] == [(1000, 10), (3000, 20)]
    zero = [axes.transData.transform((0, 0))[1] for axes in (left, right)]
    assert zero[0] == pytest.approx(zero[1])


def test_stacked_panels_may_differ_in_unit_and_the_axis_may_run_backwards(tmp_path):
    pytest.importorskip("matplotlib")
    half = np.random.default_rng(0).normal(size=(6, 2000, 3, 3))
    spectra = raman(half + half.swapaxes(2, 3), timestep=1.0, temperature=300, resolution=50)
    figure = plot_spectra(
        [ir(), spectra.unpolarized, spectra.depolarization],
        layout="stacked",
        limits=(4000, 0),
        path=tmp_path / "stack.png",
    )
    assert len(figure.axes) == 3
    assert figure.axes[0].get_xlim() == (4000, 0)
    assert (tmp_path / "stack.png").read_bytes().startswith(b"\x89PNG")


def test_the_wing_of_the_laser_line_does_not_set_the_scale():
    pytest.importorskip("matplotlib")
    intensity = ir().intensity + 1000 / (AXIS + 1) ** 2
    (axes,) = plot_spectra(Spectrum(AXIS, intensity, unit="m²/sr/cm⁻¹", kind="raman unpolarized")).axes
    assert axes.get_ylim()[1] < 1.2 * ir().intensity.max()


def test_global_style_and_figures_of_matplotlib_are_untouched():
    matplotlib = pytest.importorskip("matplotlib")
    before = dict(matplotlib.rcParams)
    plot_spectra([ir(), ir(2.0)])
    assert dict(matplotlib.rcParams) == before
    if "matplotlib.pyplot" in sys.modules:
        assert sys.modules["matplotlib.pyplot"].get_fignums() == []


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: plot_spectra([]), "at least one spectrum"),
        (lambda: plot_spectra([ir(), ir().to("m²/mol")]), "one panel holds one unit"),
        (lambda: plot_spectra(ir(), layout="grid"), "'overlay' or 'stacked'"),
        (lambda: plot_spectra(ir(), limits=(5000, 6000)), "no points between"),
        (lambda: plot_spectra(ir(), limits=(100, 100)), "two different wavenumbers"),
        (lambda: plot_spectra(ir(), sticks=Sticks([1.0, 2.0], [1.0])), "one strength per wavenumber"),
        (lambda: plot_spectra(ir(), experiment=ir().between(0, 100), limits=(500, 1000)), "experiment: no points"),
    ],
)
def test_misuse_of_the_plot_is_a_sentence(make, words):
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match=words):
        make()


def test_without_matplotlib_the_error_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingPackageError, match=r"painn-ase\[plot\]"):
        plot_spectra(ir())
