"""Builds the native kernel, one library for every machine of an architecture, and packs the bundled models.

The kernel is a plain shared library behind a C interface; it needs neither Python's headers nor a binding library.
Without a working compiler the installation goes on, and the package runs on its torch backend.
"""

import platform
from glob import glob

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

SOURCES = "painn_ase/native/csrc"
COMMON = ("domain", "engine", "network", "painn", "painn_domain", "rounds", "topology", "workspace")
TRAINING = ("gradients", "interface", "loss", "network", "samples", "trainer", "update", "workspace")
# No -ffast-math: linked in, it would change the rounding mode of the whole process, and NaN checks would vanish.
FLAGS = [
    "-std=c++17",
    "-O3",
    "-Wall",
    "-Wextra",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fvisibility=hidden",
]
INSTRUCTION_SETS = {
    "portable": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx2", "-mfma", "-mprefer-vector-width=512"],
}
X86 = platform.machine().lower() in ("x86_64", "amd64")


class BuildKernel(build_ext):
    """Compiles each instruction set's file with its own flags, and links them into one library."""

    def build_extension(self, ext: Extension) -> None:
        sets = INSTRUCTION_SETS if X86 else {"portable": []}
        units = [(f"{SOURCES}/{name}.cpp", []) for name in COMMON]
        units += [(f"{SOURCES}/training/{name}.cpp", []) for name in TRAINING]
        units += [(f"{SOURCES}/kernels_{name}.cpp", flags) for name, flags in sets.items()]
        units += [(f"{SOURCES}/training/training_{name}.cpp", flags) for name, flags in sets.items()]
        objects = []
        for source, flags in units:
            objects += self.compiler.compile([source], output_dir=self.build_temp, extra_postargs=FLAGS + flags)
        self.compiler.link_shared_object(
            objects, self.get_ext_fullpath(ext.name), extra_postargs=["-pthread"], target_lang="c++"
        )


class AnyPython(bdist_wheel):
    """Tags the wheel for every CPython from 3.10 on: the library does not use Python's binary interface."""

    def finalize_options(self) -> None:
        self.py_limited_api = "cp310"
        super().finalize_options()


setup(
    # the bundled models lie in models/, where people look for them, and travel inside the package
    packages=[*find_packages(include=["painn_ase*"]), "painn_ase.bundled"],
    package_dir={"painn_ase.bundled": "models"},
    package_data={
        "painn_ase": ["py.typed"],
        "painn_ase.bundled": ["*/model.json", "*/weights.safetensors", "*/card.md", "*/structure.xyz", "*/*.toml"],
    },
    ext_modules=[
        Extension(
            "painn_ase.native._native",
            [f"{SOURCES}/painn.cpp"],
            depends=sorted(glob(f"{SOURCES}/**", recursive=True)),
            py_limited_api=True,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernel, "bdist_wheel": AnyPython},
)
