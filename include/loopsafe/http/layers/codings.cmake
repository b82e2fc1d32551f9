# SPDX-License-Identifier: BSL-1.0
# Finds the libraries that decode content, each of which may be missing, as targets: CMake itself knows
# only zlib, and not all packages of the others bring what it needs.
find_package(ZLIB GLOBAL QUIET)
foreach(library IN ITEMS brotlidec zstd)
    string(TOUPPER LOOPSAFE_${library} name)
    set(header zstd.h)
    set(needed "")
    if(library STREQUAL brotlidec)
        set(header brotli/decode.h)
        find_library(LOOPSAFE_BROTLICOMMON_LIBRARY brotlicommon)
        mark_as_advanced(LOOPSAFE_BROTLICOMMON_LIBRARY)
        set(needed ${LOOPSAFE_BROTLICOMMON_LIBRARY})
    endif()
    find_library(${name}_LIBRARY ${library})
    find_path(${name}_INCLUDE_DIR ${header})
    mark_as_advanced(${name}_LIBRARY ${name}_INCLUDE_DIR)
    if(${name}_LIBRARY AND ${name}_INCLUDE_DIR AND NOT TARGET loopsafe::lib${library})
        add_library(loopsafe::lib${library} UNKNOWN IMPORTED GLOBAL)
        set_target_properties(loopsafe::lib${library} PROPERTIES
            IMPORTED_LOCATION "${${name}_LIBRARY}"
            INTERFACE_INCLUDE_DIRECTORIES "${${name}_INCLUDE_DIR}"
            INTERFACE_LINK_LIBRARIES "${needed}")
    endif()
endforeach()
