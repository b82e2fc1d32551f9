# SPDX-License-Identifier: BSL-1.0
import os

from conan import ConanFile
from conan.tools.build import can_run
from conan.tools.cmake import CMake, CMakeDeps, CMakeToolchain, cmake_layout


class Consumer(ConanFile):
    settings = "os", "arch", "compiler", "build_type"

    def layout(self):
        cmake_layout(self)

    def requirements(self):
        self.requires(self.tested_reference_str)

    def parts(self):
        options = self.dependencies["loopsafe"].options
        tls = ["tls", "http", "http_compiled"] if options.with_tls else []
        others = [part for part in ("gzip", "brotli", "zstd", "postgres") if options.get_safe(f"with_{part}")]
        return ["lambda"] + tls + others

    def generate(self):
        CMakeDeps(self).generate()
        toolchain = CMakeToolchain(self)
        toolchain.cache_variables["PARTS"] = ";".join(self.parts())
        toolchain.user_presets_path = False
        toolchain.generate()

    def build(self):
        cmake = CMake(self)
        cmake.configure()
        cmake.build()

    def test(self):
        if can_run(self):
            for program in ["consumer", *self.parts()]:
                self.run(os.path.join(self.cpp.build.bindir, program), env="conanrun")
