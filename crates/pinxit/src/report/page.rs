//! The page itself, section by section.

use super::curve::{Curve, draw};
use super::html::{count, duration, escape, number, picture_uri, png_uri};
use super::verdict::{Tone, sentences};
use super::{Gallery, Sample, Story};
use crate::data::ImageShape;
use crate::error::Result;
use crate::families;

/// Pairs of sample and nearest real picture on the page.
const PAIRS: usize = 20;
/// Pictures with a shorter side are magnified pixel by pixel.
const SHARP_BELOW: usize = 96;

/// All of the page.
pub(super) fn render(story: &Story<'_>) -> Result<String> {
    let title = story.folder.rsplit(['/', '\\']).next().unwrap_or(&story.folder);
    let sections = [
        header(story, title),
        story.gallery.map_or_else(|| Ok(String::new()), hero)?,
        over_time(story),
        story.gallery.map_or_else(|| Ok(String::new()), pairs)?,
        curves(story),
        go_on(story),
        details(story),
        events(story),
    ];
    Ok(format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{} · pinxit</title>\n<style>\n{}</style>\n</head>\n<body>\n{}\n\
         <footer>Painted by a model that pinxit {} trained. This page needs nothing but itself.</footer>\n\
         </body>\n</html>\n",
        escape(title),
        include_str!("page.css"),
        sections.concat(),
        env!("CARGO_PKG_VERSION"),
    ))
}

fn header(story: &Story<'_>, title: &str) -> String {
    let recipe = &story.recipe;
    let about = families::find(&recipe.family).map_or("", |family| family.about);
    let verdict: String = sentences(story)
        .into_iter()
        .map(|(tone, sentence)| {
            let class = match tone {
                Tone::Good => "good",
                Tone::Plain => "plain",
                Tone::Warning => "warning",
            };
            format!("<li class=\"{class}\">{}.</li>", escape(&sentence))
        })
        .collect();
    format!(
        "<header><div class=\"mark-of\">pinxit</div><h1>{}</h1>\
         <div class=\"soft\">{} on {}: {}</div><ul class=\"verdict\">{verdict}</ul>{}</header>",
        escape(title),
        escape(&recipe.family),
        escape(&recipe.data.source),
        escape(if recipe.about.is_empty() { about } else { &recipe.about }),
        figures(story),
    )
}

/// The few numbers that one looks for first.
fn figures(story: &Story<'_>) -> String {
    let mut figures = vec![(count(story.saved.into()), "steps")];
    if let Some(last) = story.measures.last() {
        let mut speeds: Vec<f64> = story.measures.iter().map(|line| line.images_per_second).collect();
        speeds.sort_by(f64::total_cmp);
        figures.push((duration(last.seconds), "of training"));
        figures.push((number(speeds[speeds.len() / 2]), "pictures a second"));
        figures.extend(last.values.get("loss").map(|loss| (number(*loss), "last loss")));
    }
    if let Some([height, width]) = story.recipe.data.size {
        figures.push((format!("{height} × {width}"), "pixels"));
    }
    if let Some(gallery) = story.gallery {
        figures.push((count(gallery.searched as u64), "training pictures"));
    }
    let tiles = figures.iter().map(|(value, name)| format!("<div><b>{value}</b><span>{name}</span></div>"));
    format!("<div class=\"figures\">{}</div>", tiles.collect::<String>())
}

/// How `<img>` should treat pictures of this shape.
fn class(shape: ImageShape) -> &'static str {
    match (shape.height.min(shape.width) < SHARP_BELOW, shape.channels.is_multiple_of(2)) {
        (true, true) => "sharp alpha",
        (true, false) => "sharp",
        (false, true) => "alpha",
        (false, false) => "",
    }
}

fn hero(gallery: &Gallery) -> Result<String> {
    let Some(first) = gallery.samples.first() else { return Ok(String::new()) };
    let by_class = if first.class.is_some() { ", one column a class" } else { "" };
    let class = class(first.picture.shape);
    let one = |sample: &Sample| {
        let caption = caption(sample);
        let uri = picture_uri(&sample.picture)?;
        Ok(format!("<img class=\"{class}\" alt=\"{caption}\" title=\"{caption}\" src=\"{uri}\">"))
    };
    Ok(format!(
        "<section><h2>What it paints</h2><p class=\"soft\">Seeds 0 to {}{by_class}; none is chosen by hand.</p>\
         <div class=\"card hero\" style=\"grid-template-columns:repeat({},1fr)\">{}</div></section>",
        gallery.samples.len() - 1,
        gallery.columns,
        gallery.samples.iter().map(one).collect::<Result<String>>()?,
    ))
}

/// What a sample was asked to be.
fn caption(sample: &Sample) -> String {
    let asked = sample.class.as_ref().map_or_else(String::new, |class| format!(" · {}", escape(class)));
    format!("seed {}{asked}", sample.seed)
}

fn over_time(story: &Story<'_>) -> String {
    let Some((_, last)) = story.sheets.last() else { return String::new() };
    let side = story.recipe.data.size.map_or(0, |[height, width]| height.min(width));
    let shape = ImageShape { channels: story.recipe.data.channels.unwrap_or(3), height: side, width: side };
    let class = class(shape);
    let strip: String = story
        .sheets
        .iter()
        .map(|(step, png)| {
            let step = count((*step).into());
            format!(
                "<img data-step=\"{step}\" alt=\"step {step}\" title=\"step {step}\" src=\"{}\">",
                png_uri(png)
            )
        })
        .collect();
    format!(
        "<section><h2>Learning to paint</h2><p class=\"soft\">The same seeds, painted while the model learned.</p>\
         <div class=\"card time\"><div class=\"view\"><img class=\"{class}\" alt=\"samples\" src=\"{}\"></div>\
         <div class=\"controls\"><button type=\"button\">Play</button>\
         <input type=\"range\" min=\"0\" max=\"{}\" value=\"0\" aria-label=\"step\"><output></output></div>\
         <div class=\"strip\">{strip}</div></div><script>\n{}</script></section>",
        png_uri(last),
        story.sheets.len() - 1,
        include_str!("page.js"),
    )
}

/// The samples that are nearest to a training picture: if the model copies, it shows here.
fn pairs(gallery: &Gallery) -> Result<String> {
    let mut nearest: Vec<&Sample> = gallery.samples.iter().collect();
    nearest.sort_by(|a, b| a.nearest.distance.total_cmp(&b.nearest.distance));
    let cards: String = nearest.into_iter().take(PAIRS).map(pair).collect::<Result<_>>()?;
    let scale = match gallery.real_distances.get(gallery.real_distances.len() / 2) {
        Some(median) => format!(
            " For scale: half of {} real pictures that were kept away from training lie within {} of one.",
            gallery.real_distances.len(),
            number(*median)
        ),
        None => String::new(),
    };
    Ok(format!(
        "<section><h2>Beside the nearest real picture</h2><p class=\"soft\">The samples that come closest to one \
         of {} training pictures, by the root mean square difference of their pixels in levels of 0 to \
         255.{scale}</p><div class=\"pairs\">{cards}</div></section>",
        count(gallery.searched as u64),
    ))
}

fn pair(sample: &Sample) -> Result<String> {
    let class = class(sample.picture.shape);
    Ok(format!(
        "<div class=\"card pair\"><div class=\"two\">\
         <div><img class=\"{class}\" alt=\"sample\" src=\"{}\"><span>painted<br>{}</span></div>\
         <div><img class=\"{class}\" alt=\"nearest real picture\" src=\"{}\"><span>real<br>{}</span></div></div>\
         <p>{} levels apart</p></div>",
        picture_uri(&sample.picture)?,
        caption(sample),
        picture_uri(&sample.nearest.picture)?,
        escape(&sample.nearest.name),
        number(sample.nearest.distance),
    ))
}

fn curves(story: &Story<'_>) -> String {
    let marks: Vec<f64> = story
        .events
        .iter()
        .filter(|event| event.event == "rollback")
        .map(|event| event.step.into())
        .collect();
    let mut names: Vec<&str> =
        story.measures.iter().flat_map(|line| line.values.keys()).map(String::as_str).collect();
    names.sort_by_key(|name| (*name != "loss", *name));
    names.dedup();
    let measured = names.into_iter().map(|name| {
        let value = |line: &crate::run::Measures| Some((f64::from(line.step), *line.values.get(name)?));
        let points = story.measures.iter().filter_map(value).collect();
        Curve { name, points, marks: &marks, is_measured: true }
    });
    let learning_rate = story.recipe.train.lr.unwrap_or(1.0);
    let each = |value: fn(&crate::run::Measures) -> f64, factor: f64| {
        story.measures.iter().map(|line| (line.step.into(), value(line) * factor)).collect()
    };
    let others = [
        Curve {
            name: "learning rate",
            points: each(|line| line.rate, learning_rate),
            marks: &marks,
            is_measured: false,
        },
        Curve {
            name: "pictures a second",
            points: each(|line| line.images_per_second, 1.0),
            marks: &marks,
            is_measured: true,
        },
    ];
    let cards: String = measured
        .chain(others)
        .filter_map(|curve| Some((draw(&curve)?, curve)))
        .map(|(svg, curve)| {
            format!("<div class=\"card\"><h3>{}</h3>{svg}</div>", escape(&curve.name.replace('_', " ")))
        })
        .collect();
    match cards.as_str() {
        "" => String::new(),
        _ => format!("<section><h2>Curves</h2><div class=\"curves\">{cards}</div></section>"),
    }
}

/// What to type next.
fn go_on(story: &Story<'_>) -> String {
    let run = &story.folder;
    let mut commands = vec![
        (format!("pinxit sample {run} --count 16 --out new"), "sixteen new pictures"),
        (format!("pinxit sample {run} --count 64 --seed 1000 --grid sheet.png"), "other seeds, on one sheet"),
        (format!("pinxit train --recipe {run}/recipe.toml --out runs/again"), "the same run again"),
    ];
    if !story.is_finished() {
        commands.insert(0, (format!("pinxit train --resume {run}"), "go on where it stopped"));
    }
    let rows = commands.iter().map(|(command, what)| {
        format!("<tr><td><pre>{}</pre></td><td class=\"soft\">{what}</td></tr>", escape(command))
    });
    format!(
        "<section class=\"commands\"><h2>Going on</h2><div class=\"card\"><table>{}</table></div></section>",
        rows.collect::<String>()
    )
}

fn details(story: &Story<'_>) -> String {
    let machine = &story.machine;
    let gib = |bytes: u64| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30));
    let facts = [
        ("processor", machine.cpu.clone()),
        ("threads", format!("{} of {} cores", machine.threads, machine.cores)),
        ("vectors", machine.vectors.clone()),
        ("memory", gib(machine.memory)),
        ("system", machine.system.clone()),
        ("pinxit", env!("CARGO_PKG_VERSION").into()),
    ];
    let rows =
        facts.iter().map(|(name, value)| format!("<tr><td>{name}</td><td>{}</td></tr>", escape(value)));
    format!(
        "<section><h2>Settings and machine</h2><div class=\"split\"><div class=\"card\"><pre>{}</pre></div>\
         <div class=\"card\"><table>{}</table></div></div></section>",
        escape(story.recipe_toml.trim()),
        rows.collect::<String>()
    )
}

fn events(story: &Story<'_>) -> String {
    if story.events.is_empty() {
        return String::new();
    }
    let rows = story.events.iter().map(|event| {
        format!("<tr><td>step {}</td><td>{}</td></tr>", count(event.step.into()), escape(&event.message))
    });
    format!(
        "<section><h2>What happened</h2><div class=\"card\"><table>{}</table></div></section>",
        rows.collect::<String>()
    )
}
