"""Documents of headings, paragraphs, tables and pictures, for files, pages and screens."""

from meganet.document.document import Block, Document, Grid, Heading, Note, Paragraph, Picture, markdown_table

__all__ = ["Block", "Document", "Grid", "Heading", "Note", "Paragraph", "Picture", "markdown_table"]
