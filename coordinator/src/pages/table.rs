//! Tables: rows with headers, which on a narrow screen stand below one another with their headers beside them.

use maud::{Markup, html};

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    caption: &'static str,
    /// Headers, and whether numbers stand below them.
    columns: Vec<(&'static str, bool)>,
    rows: Vec<Vec<Markup>>,
}

impl Table {
    /// `caption`: what it is a table of, for who cannot see where it stands.
    pub(super) fn new(caption: &'static str) -> Self {
        Self { caption, columns: Vec::new(), rows: Vec::new() }
    }

    pub(super) fn words(mut self, header: &'static str) -> Self {
        self.columns.push((header, false));
        self
    }

    pub(super) fn numbers(mut self, header: &'static str) -> Self {
        self.columns.push((header, true));
        self
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Markup>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Its element, or one sentence if it has no rows. The first cell of a row is its header. Roles are said, because a
    /// browser forgets them where a style sheet arranges a table otherwise.
    pub(super) fn html(&self, if_empty: &str) -> Markup {
        if self.rows.is_empty() {
            return html! { p.none { (if_empty) } };
        }
        html! {
            table role="table" {
                caption { (self.caption) }
                thead role="rowgroup" {
                    tr role="row" {
                        @for (header, number) in &self.columns {
                            th role="columnheader" scope="col" class=[number.then_some("number")] { (header) }
                        }
                    }
                }
                tbody role="rowgroup" {
                    @for row in &self.rows {
                        tr role="row" {
                            @for (at, cell) in row.iter().enumerate() { (self.cell(at, cell)) }
                        }
                    }
                }
            }
        }
    }

    fn cell(&self, at: usize, cell: &Markup) -> Markup {
        let (header, number) = self.columns.get(at).copied().unwrap_or_default();
        let class = number.then_some("number");
        html! {
            @if at == 0 {
                th role="rowheader" scope="row" class=[class] data-header=(header) { span { (cell) } }
            } @else {
                td role="cell" class=[class] data-header=(header) { span { (cell) } }
            }
        }
    }
}
