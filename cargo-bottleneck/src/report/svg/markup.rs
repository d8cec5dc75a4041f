//! Writing XML: every text and attribute is escaped here and nowhere else.

use std::io;

use quick_xml::Writer;
use quick_xml::events::{BytesCData, BytesDecl, BytesEnd, BytesStart, BytesText, Event};

/// Attributes of an element, unescaped.
pub(super) type Attributes<'a> = &'a [(&'a str, &'a str)];

/// An XML document that grows in memory.
pub(super) struct Markup {
    writer: Writer<Vec<u8>>,
}

impl Markup {
    /// An empty document.
    pub(super) fn new() -> io::Result<Self> {
        let mut writer = Writer::new(Vec::new());
        writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), Some("no"))))?;
        Ok(Self { writer })
    }

    /// The document.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.writer.into_inner()
    }

    /// `<name …>`
    pub(super) fn open(&mut self, name: &str, attributes: Attributes<'_>) -> io::Result<()> {
        self.writer.write_event(Event::Start(element(name, attributes)))
    }

    /// `</name>`
    pub(super) fn close(&mut self, name: &str) -> io::Result<()> {
        self.writer.write_event(Event::End(BytesEnd::new(name)))
    }

    /// `<name …/>`
    pub(super) fn empty(&mut self, name: &str, attributes: Attributes<'_>) -> io::Result<()> {
        self.writer.write_event(Event::Empty(element(name, attributes)))
    }

    /// Text within the open element.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_event(Event::Text(BytesText::new(text)))
    }

    /// `<name …>text</name>`
    pub(super) fn element(
        &mut self,
        name: &str,
        attributes: Attributes<'_>,
        text: &str,
    ) -> io::Result<()> {
        self.open(name, attributes)?;
        self.text(text)?;
        self.close(name)
    }

    /// A section that is not escaped; `]]>` in it is taken care of.
    pub(super) fn cdata(&mut self, text: &str) -> io::Result<()> {
        for part in BytesCData::escaped(text) {
            self.writer.write_event(Event::CData(part))?;
        }
        Ok(())
    }

    /// A comment; `--`, which must not be in one, is set apart.
    pub(super) fn comment(&mut self, text: &str) -> io::Result<()> {
        let text = text.replace("--", "- -");
        self.writer.write_event(Event::Comment(BytesText::from_escaped(text)))
    }
}

fn element<'a>(name: &'a str, attributes: Attributes<'a>) -> BytesStart<'a> {
    BytesStart::new(name).with_attributes(attributes.iter().copied())
}
