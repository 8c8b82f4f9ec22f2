//! `tare-store rm`: take names away from images.

use std::process::ExitCode;

use anyhow::anyhow;
use cli::ErrorExt as _;
use store::Store;

use crate::find;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Remove an image named by id with all its names; names that do not exist are no error
    #[arg(short, long)]
    force: bool,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Prints what was removed. Nothing is, unless all of it can be.
pub(crate) fn run(arguments: &Arguments, store: &Store) -> anyhow::Result<ExitCode> {
    for name in &arguments.images {
        check(name, arguments.force, store)?;
    }
    for name in &arguments.images {
        for removed in remove(name, store)? {
            cli::print(find::familiar(&removed))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// How an image is named in an argument.
enum Named {
    /// By one of its names.
    Name,
    /// By its digest, or the beginning of an id.
    Id,
}

fn named(argument: &str, found: &str) -> Named {
    let same = |name: &str| {
        let full = name.parse::<image::Reference>().map(|name| name.to_string());
        name == found || full.is_ok_and(|full| full == found)
    };
    if same(argument) || find::familiar(found) == argument { Named::Name } else { Named::Id }
}

fn check(name: &str, force: bool, store: &Store) -> anyhow::Result<()> {
    let (found, descriptor) = match find::descriptor(store, name) {
        Ok(found) => found,
        Err(_) if force && store.resolve(name)?.is_none() => return Ok(()),
        Err(error) => return Err(error),
    };
    if matches!(named(name, &found), Named::Name) {
        return Ok(());
    }
    let entries = store.references()?;
    let own: Vec<_> = entries.iter().filter(|(_, it)| it.digest() == descriptor.digest()).collect();
    match own.len() {
        0 => Err(anyhow!("{name} is one of several platforms of an image"))
            .hint("remove that image by its name; tare-store ls shows it"),
        1 => Ok(()),
        _ if force => Ok(()),
        _ => {
            let names = own.iter().filter_map(|(name, _)| Some(find::familiar(name.as_deref()?)));
            let names = names.collect::<Vec<_>>().join(", ");
            Err(anyhow!("image {name} has several names: {names}"))
                .hint("remove them one by one, or all with --force")
        }
    }
}

fn remove(name: &str, store: &Store) -> anyhow::Result<Vec<String>> {
    let Some((found, descriptor)) = store.resolve(name)? else { return Ok(Vec::new()) };
    if matches!(named(name, &found), Named::Name) {
        return Ok(store.untag(&found)?.map(|_| found).into_iter().collect());
    }
    let digest = descriptor.digest().to_string();
    let gone = store.forget(&descriptor)?;
    Ok(gone.into_iter().map(|name| name.unwrap_or_else(|| digest.clone())).collect())
}
