"""The sources of the CUDA kernels: what the compiler makes of them, and that each kernel has its use."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cuda_emulation import kernel_names

import meganet
from meganet.backend import cuda
from meganet.backend.cuda import SOURCES, TILES, source

NVCC = shutil.which("nvcc")


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90"])
def test_kernels_compile_without_spilling(tmp_path, architecture, dtype):
    path = tmp_path / "kernels.cu"
    path.write_text(source(dtype))
    command = [NVCC, "-std=c++17", f"-arch={architecture}", "-cubin", "-Xptxas=-v", "-Werror=all-warnings", str(path)]
    done = subprocess.run([*command, "-o", str(tmp_path / "kernels.cubin")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    compiled = re.findall(r"Compiling entry function '(\w+)'", done.stderr)
    assert sorted(compiled) == sorted(kernel_names(source(dtype)))
    spills = [int(n) for n in re.findall(r"(\d+) bytes spill", done.stderr)]
    assert spills and not any(spills)
    shared = [int(n) for n in re.findall(r"(\d+) bytes smem", done.stderr)]
    assert max(shared) <= 48 * 1024


@pytest.mark.skipif(NVCC is None, reason="needs nvcc")
@pytest.mark.parametrize("architecture", ["sm_80", "sm_90"])
def test_products_read_and_write_vectors(tmp_path, architecture, dtype):
    """Global memory sixteen bytes at a time where rows allow it, and shared memory wherever it is multiplied from."""
    (tmp_path / "kernels.cu").write_text(source(dtype))
    command = [NVCC, "-std=c++17", f"-arch={architecture}", "-ptx", str(tmp_path / "kernels.cu")]
    subprocess.run([*command, "-o", str(tmp_path / "kernels.ptx")], check=True)
    vector = {"float32": "v4.f32", "float64": "v2.f64"}[str(dtype)]
    bodies = re.findall(
        r"\.entry (product\w+)\((.*?)^}", (tmp_path / "kernels.ptx").read_text(), re.DOTALL | re.MULTILINE
    )
    assert len(bodies) == len(TILES)
    for _, body in bodies:
        assert {f"{space}.{vector}" for space in ("ld.global", "st.global", "ld.shared", "st.shared")} <= set(
            re.findall(r"[ls][dt]\.(?:global|shared)\.v\d\.f\d\d", body)
        )
        assert not re.search(r"ld\.shared\.f\d\d", body)


def test_every_kernel_is_launched_and_every_launch_has_a_kernel():
    package = Path(meganet.__file__).parent
    text = "".join(path.read_text() for path in package.rglob("*.py"))
    launched = set(re.findall(r'(?:launch(?:_rows)?\(|_on_tiles\(backend,)\s*"(\w+)"', text)) | {
        f"product_{t.rows}x{t.columns}" for t in TILES
    }
    assert launched == set(kernel_names(source("float32")))


def test_every_source_file_is_compiled():
    assert {path.name for path in Path(cuda.__file__).parent.glob("*.cu")} == set(SOURCES)
