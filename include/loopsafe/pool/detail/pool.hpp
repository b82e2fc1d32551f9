// SPDX-License-Identifier: BSL-1.0
#ifndef LOOPSAFE_POOL_DETAIL_POOL_HPP
#define LOOPSAFE_POOL_DETAIL_POOL_HPP

// The pool behind connection_pool and its leases: the class and all its bodies.
#include <loopsafe/pool/detail/acquire.hpp>
#include <loopsafe/pool/detail/carry.hpp>
#include <loopsafe/pool/detail/close.hpp>
#include <loopsafe/pool/detail/release.hpp>
#include <loopsafe/pool/detail/reports.hpp>
#include <loopsafe/pool/detail/shelves.hpp>
#include <loopsafe/pool/detail/state.hpp>
#include <loopsafe/pool/detail/ticket.hpp>
#include <loopsafe/pool/detail/warm.hpp>

#endif
