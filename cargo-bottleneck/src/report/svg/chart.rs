//! Reads what inferno wrote: its style and script, which stay as they are, and where each box lies.
//!
//! Only files that inferno made from our own keys are read here, never anything from the profiled program.

use std::collections::BTreeMap;

use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::SvgError;

/// The parts of inferno's picture.
#[derive(Debug, Default)]
pub(super) struct Chart {
    /// Comments at the beginning.
    pub(super) comments: Vec<String>,
    /// Style sheet.
    pub(super) style: String,
    /// Sections of the script.
    pub(super) script: Vec<String>,
    /// Attributes of the element around the boxes.
    pub(super) frames: BTreeMap<String, String>,
    /// Boxes by the `id` of their group; the box of everything has an empty one.
    pub(super) boxes: BTreeMap<String, Placed>,
}

/// Where a box lies. The attributes are as inferno wrote them; its script reads them by these names.
#[derive(Clone, Debug, Default)]
pub(super) struct Placed {
    /// `x`, `y`, `width`, `height`, `fill`, `fg:x`, `fg:w`.
    attributes: BTreeMap<String, String>,
}

impl Placed {
    /// An attribute as it is written.
    pub(super) fn get(&self, name: &str) -> Result<&str, SvgError> {
        self.attributes
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| SvgError::Layout(format!("a box without `{name}`")))
    }

    /// An attribute that is a whole number.
    pub(super) fn number(&self, name: &str) -> Result<u64, SvgError> {
        let text = self.get(name)?;
        text.parse().map_err(|_| SvgError::Layout(format!("`{name}` of a box is `{text}`")))
    }
}

/// Takes the picture apart.
pub(super) fn read(svg: &str) -> Result<Chart, SvgError> {
    let mut chart = Chart::default();
    let mut reader = Reader::from_str(svg);
    let (mut inside, mut group) = (String::new(), String::new());
    loop {
        match reader.read_event()? {
            Event::Eof => break,
            Event::Comment(text) => chart.comments.push(text.decode()?.into_owned()),
            Event::CData(text) => chart.script.push(text.decode()?.into_owned()),
            Event::Text(text) if inside == "style" => chart.style.push_str(&text.decode()?),
            Event::Start(start) => {
                inside = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                let mut found = attributes(&start)?;
                match inside.as_str() {
                    "g" => group = found.remove("id").unwrap_or_default(),
                    "svg" if found.contains_key("total_samples") => chart.frames = found,
                    _ => {}
                }
            }
            Event::Empty(rect) if !chart.frames.is_empty() => {
                chart.boxes.insert(group.clone(), Placed { attributes: attributes(&rect)? });
            }
            _ => {}
        }
    }
    if chart.boxes.is_empty() {
        return Err(SvgError::Layout("no boxes".to_owned()));
    }
    Ok(chart)
}

fn attributes(start: &BytesStart<'_>) -> Result<BTreeMap<String, String>, SvgError> {
    let mut res = BTreeMap::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(quick_xml::Error::from)?;
        let name = String::from_utf8_lossy(attribute.key.as_ref()).into_owned();
        res.insert(name, attribute.normalized_value(XmlVersion::Implicit1_0)?.into_owned());
    }
    Ok(res)
}
