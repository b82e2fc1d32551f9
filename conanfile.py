# SPDX-License-Identifier: BSL-1.0
import re
from io import StringIO

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load
from conan.tools.layout import basic_layout

required_conan_version = ">=2.0"


class LoopsafeConan(ConanFile):
    name = "loopsafe"
    description = "Loop-safe resource lifetimes for Boost.Asio: connection pools that refuse the wrong event loop"
    license = "BSL-1.0"
    topics = ("asio", "coroutines", "connection-pool", "event-loop", "header-only")
    package_type = "header-library"
    settings = "os", "arch", "compiler", "build_type"
    # The codings are decoded for HTTP, which comes with TLS.
    codings = {"gzip": ("zlib/[>=1.2.11]", "zlib::zlib", "z"),
               "brotli": ("brotli/[>=1.0.9]", "brotli::brotlidec", "brotlidec"),
               "zstd": ("zstd/[>=1.4]", "zstd::zstdlib", "zstd")}
    options = {"with_tls": [True, False], "with_postgres": [True, False], **{f"with_{c}": [True, False] for c in codings}}
    default_options = {option: False for option in options}
    exports_sources = "include/*", "LICENSE"
    no_copy_source = True
    test_package_folder = "tests/package/conan"
    http_source = "loopsafe/http/src.cmake"  # makes the target loopsafe::http_compiled

    def set_version(self):
        config = load(self, f"{self.recipe_folder}/include/loopsafe/config.hpp")
        self.version = ".".join(re.findall(r"^#define LOOPSAFE_VERSION_\w+ (\d+)$", config, re.MULTILINE))

    def layout(self):
        basic_layout(self)

    def requirements(self):
        self.requires("boost/[>=1.81]", transitive_headers=True)
        if self.options.with_tls:
            self.requires("openssl/[>=3.0]", transitive_headers=True, transitive_libs=True)
        if self.options.with_postgres:
            self.requires("libpq/[>=14]", transitive_headers=True, transitive_libs=True)
        for package, _, _ in self.wanted_codings().values():
            self.requires(package, transitive_headers=True, transitive_libs=True)

    def wanted_codings(self):
        return {coding: of for coding, of in self.codings.items() if self.options.get_safe(f"with_{coding}")}

    def package_id(self):
        self.info.clear()

    def validate(self):
        check_min_cppstd(self, 20)
        if self.wanted_codings() and not self.options.with_tls:
            raise ConanInvalidConfiguration("with_gzip, with_brotli and with_zstd need with_tls=True")

    def package(self):
        copy(self, "LICENSE", self.source_folder, f"{self.package_folder}/licenses")
        copy(self, "*.hpp", f"{self.source_folder}/include", f"{self.package_folder}/include")
        copy(self, self.http_source, f"{self.source_folder}/include", f"{self.package_folder}/include")

    def package_info(self):
        # What the profile's platform_requires takes from the system is no package to depend on: it is
        # linked by name.
        def packages(*components):
            return [c for c in components if c.split("::")[0] in self.dependencies]

        def from_system(component, package, *libraries):
            if package not in self.dependencies:
                component.system_libs.extend(libraries)

        self.cpp_info.set_property("cmake_file_name", "loopsafe")
        core = self.cpp_info.components["core"]
        core.set_property("cmake_target_name", "loopsafe::loopsafe")
        core.requires = packages("boost::headers")
        core.bindirs = core.libdirs = []
        if self.settings.os in ("Linux", "FreeBSD"):
            core.system_libs = ["pthread"]
        runtime = self.cpp_info.components["lambda"]
        runtime.set_property("cmake_target_name", "loopsafe::lambda")
        runtime.requires = ["core"]
        runtime.bindirs = runtime.libdirs = []
        if self.options.with_tls:
            tls = self.cpp_info.components["tls"]
            tls.set_property("cmake_target_name", "loopsafe::tls")
            tls.requires = ["core", *packages("openssl::ssl")]
            from_system(tls, "openssl", "ssl", "crypto")
            tls.bindirs = tls.libdirs = []
            http = self.cpp_info.components["http"]
            http.set_property("cmake_target_name", "loopsafe::http")
            http.requires = ["tls"]
            http.bindirs = http.libdirs = []
            self.cpp_info.set_property("cmake_build_modules", [f"include/{self.http_source}"])
        for coding, (package, target, library) in self.wanted_codings().items():
            part = self.cpp_info.components[coding]
            part.set_property("cmake_target_name", f"loopsafe::{coding}")
            part.requires = ["http", *packages(target)]
            part.bindirs = part.libdirs = []
            from_system(part, package.split("/")[0], library)
        if self.options.with_postgres:
            postgres = self.cpp_info.components["postgres"]
            postgres.set_property("cmake_target_name", "loopsafe::postgres")
            postgres.requires = ["core", *packages("libpq::pq")]
            postgres.bindirs = postgres.libdirs = []
            from_system(postgres, "libpq", "pq")
            if "libpq" not in self.dependencies:
                found = StringIO()
                self.run("pg_config --includedir", stdout=found)
                postgres.includedirs.append(found.getvalue().strip())
