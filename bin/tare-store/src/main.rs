//! Everything about images at rest: pull, push, save, load, import, export, list, inspect, tag, remove, collect, and bundles.
//!
//! Results go to standard output, progress and messages to standard error. What mounts, or removes what was
//! unpacked, does so in a user namespace where the user is not root.

mod amend;
mod bars;
mod change;
mod command;
mod compression;
mod explore;
mod find;
mod look;
mod registries;
mod rootless;
mod source;
mod terminal;
mod transport;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use store::Store;

/// Images at rest
#[derive(Debug, Parser)]
#[command(name = "tare-store", version, subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(flatten)]
    store: cli::StoreFlag,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Get an image from a registry
    Pull(command::pull::Arguments),
    /// Send an image to a registry
    Push(Box<command::push::Arguments>),
    /// Copy an image from anywhere to anywhere: registries, layouts, archives, the store
    Copy(Box<command::copy::Arguments>),
    /// List the tags of a repository in a registry
    ListTags(command::remote::TagArguments),
    /// List what refers to an image in a registry: signatures, attestations
    Referrers(command::remote::ReferrerArguments),
    /// Remove an image from a registry
    Delete(command::remote::DeleteArguments),
    /// Keep a login for a registry
    Login(command::login::Arguments),
    /// Take a login for a registry away
    Logout(command::login::LogoutArguments),
    /// Be a registry for what is in the store
    Serve(command::serve::Arguments),
    /// Get a file from a web server into the store, as a blob
    Fetch(command::fetch::Arguments),
    /// Make an image of a root file system's tar
    Import(command::import::Arguments),
    /// Write a root file system's tar: all layers of an image as one tree
    Export(command::export::Arguments),
    /// Write images into one archive
    Save(command::save::Arguments),
    /// Read images from an archive
    Load(command::load::Arguments),
    /// List images
    #[command(visible_aliases = ["list", "images"])]
    Ls(command::ls::Arguments),
    /// Show an image's configuration, manifest or history
    Inspect(command::inspect::Arguments),
    /// Show an image's layers: the size of each, and the instruction that made it
    History(command::history::Arguments),
    /// Show the files of an image, or of one layer, as a tree with sizes
    Tree(command::tree::Arguments),
    /// Print a file of an image
    Cat(command::cat::Arguments),
    /// Compare two images: files and configuration
    Diff(command::diff::Arguments),
    /// List the files of an image with the layers that they come from
    Files(command::files::Arguments),
    /// Show which layers put a file into an image, changed it or took it away
    WhichLayer(command::files::WhichArguments),
    /// Look through an image's layers and files on a full screen
    Explore(explore::Arguments),
    /// Show how well the layers use their bytes; keep limits in CI
    Analyze(command::analyze::Arguments),
    /// Give an image a further name
    Tag(command::tag::Arguments),
    /// Make an index: one name for images of several platforms
    Index(command::index::Arguments),
    /// Take names away from images; gc then frees what has no name
    #[command(visible_aliases = ["rmi", "untag"])]
    Rm(command::rm::Arguments),
    /// Remove what no image, bundle or build holds
    Gc(command::gc::Arguments),
    /// Remove from the build cache what was not used for longest
    Prune(command::prune::Arguments),
    /// Check the store: every file against its digest, every image for what it needs
    Fsck(command::fsck::Arguments),
    /// Show what takes how much room: images, layers, caches, bundles
    Df(command::df::Arguments),
    /// Make a runtime bundle of an image
    Bundle(Box<command::bundle::Arguments>),
    /// Release a bundle: unmount it, and delete it with its read-write layer
    Unbundle(command::unbundle::Arguments),
    /// Make an image of what a container changed, or somebody in an unpacked directory
    Commit(command::commit::Arguments),
    /// Make an image with another configuration
    Config(command::config::Arguments),
    /// Write an image's files into a directory
    Unpack(command::unpack::Arguments),
    /// Mount an image's files, read-only
    Mount(command::mount::Arguments),
    /// Unmount an image
    #[command(visible_alias = "unmount")]
    Umount(command::mount::UmountArguments),
    /// Show where the store is, what is in it, and how it is mounted
    Info(command::info::Arguments),
}

fn main() -> ExitCode {
    cli::run("tare-store", || dispatch(cli::parse()?))
}

fn dispatch(Arguments { store: place, command }: Arguments) -> anyhow::Result<ExitCode> {
    let store = || anyhow::Ok(Store::open(&place.path()?)?);
    // Where it can be done, with what belongs to other ids of the user.
    let own_store = || rootless::try_enter().and_then(|_| store());
    match command {
        Command::Pull(arguments) => command::pull::run(&arguments, &store()?),
        Command::Push(arguments) => command::push::run(&arguments, &store()?),
        Command::Copy(arguments) => command::copy::run(&arguments, &store()?),
        Command::Serve(arguments) => command::serve::run(&arguments, &store()?),
        Command::Fetch(arguments) => command::fetch::run(&arguments, &store()?),
        Command::Import(arguments) => command::import::run(&arguments, &store()?),
        Command::Export(arguments) => command::export::run(&arguments, &store()?),
        Command::Save(arguments) => command::save::run(&arguments, &store()?),
        Command::Load(arguments) => command::load::run(&arguments, &store()?),
        Command::Ls(arguments) => command::ls::run(&arguments, &store()?),
        Command::Inspect(arguments) => command::inspect::run(&arguments, &store()?),
        Command::History(arguments) => command::history::run(&arguments, &store()?),
        Command::Tree(arguments) => command::tree::run(&arguments, &store()?),
        Command::Cat(arguments) => command::cat::run(&arguments, &store()?),
        Command::Diff(arguments) => command::diff::run(&arguments, &store()?),
        Command::Files(arguments) => command::files::run(&arguments, &store()?),
        Command::WhichLayer(arguments) => command::files::which(&arguments, &store()?),
        Command::Explore(arguments) => explore::run(&arguments, &store()?),
        Command::Analyze(arguments) => command::analyze::run(&arguments, &store()?),
        Command::Tag(arguments) => command::tag::run(&arguments, &store()?),
        Command::Index(arguments) => command::index::run(&arguments, &store()?),
        Command::Rm(arguments) => command::rm::run(&arguments, &store()?),
        Command::Gc(arguments) => command::gc::run(&arguments, &own_store()?),
        Command::Prune(arguments) => command::prune::run(&arguments, &own_store()?),
        Command::Fsck(arguments) => command::fsck::run(&arguments, &own_store()?),
        Command::Df(arguments) => command::df::run(&arguments, &own_store()?),
        Command::Bundle(arguments) => command::bundle::run(&arguments, &store()?),
        Command::Info(arguments) => {
            let refused = rootless::try_enter()?;
            command::info::run(&arguments, &store()?, refused)
        }
        Command::Config(arguments) => command::config::run(&arguments, &store()?),
        Command::Unpack(arguments) => command::unpack::run(&arguments, &store()?),
        Command::Mount(arguments) => command::mount::run(&arguments, &store()?),
        Command::Unbundle(arguments) => {
            rootless::enter()?;
            command::unbundle::run(&arguments)
        }
        Command::Commit(arguments) => command::commit::run(&arguments, &place),
        Command::Umount(arguments) => command::mount::umount(&arguments),
        Command::ListTags(arguments) => command::remote::tags(&arguments),
        Command::Referrers(arguments) => command::remote::referrers(&arguments),
        Command::Delete(arguments) => command::remote::delete(&arguments),
        Command::Login(arguments) => command::login::run(&arguments),
        Command::Logout(arguments) => command::login::logout(&arguments),
    }
}
