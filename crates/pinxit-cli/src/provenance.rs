//! What a picture's file says of itself: that a model made it, which one, and how to make it again.

/// Text entries of a PNG file. `source` says in a few words how it came to be, `origin` by which model.
pub(crate) fn marks(source: &str, origin: String, settings: &toml::Table) -> Vec<(String, String)> {
    let settings: Vec<String> = settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    vec![
        ("Software".into(), concat!("Pinxit ", env!("CARGO_PKG_VERSION")).into()),
        ("Source".into(), source.into()),
        ("Description".into(), origin),
        ("Comment".into(), settings.join(", ")),
    ]
}
