//! What there is to break in a plan, a family of things in each file.

mod addresses;
mod filters;
mod ipvs;
mod links;
mod neighbours;
mod routes;
mod servers;
mod sysctls;
mod vips;

use super::Maker;

/// Derives every mutation.
pub(super) fn derive(maker: &mut Maker<'_>) {
    sysctls::derive(maker);
    links::derive(maker);
    addresses::derive(maker);
    vips::derive(maker);
    routes::derive(maker);
    neighbours::derive(maker);
    filters::derive(maker);
    ipvs::derive(maker);
    servers::derive(maker);
}
