"""Documents of headings, paragraphs, tables and pictures, for files, pages and screens."""

from meganet.document.document import Block, Document, Grid, Heading, Note, Paragraph, Picture, csv_text, markdown_table

__all__ = ["Block", "Document", "Grid", "Heading", "Note", "Paragraph", "Picture", "csv_text", "markdown_table"]
