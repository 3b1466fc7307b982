//! The document around a page's sections.

use super::place::Place;
use maud::{DOCTYPE, Markup, html};
use std::collections::BTreeMap;

/// A part of a page. Its id is its element's.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its id.
    pub id: &'static str,
    /// Its heading; nothing in the first, which has the page's.
    pub heading: &'static str,
    /// What it says.
    pub body: Markup,
}

impl Section {
    pub(super) fn new(id: &'static str, heading: &'static str, body: Markup) -> Self {
        Self { id, heading, body }
    }

    /// Its element.
    pub fn html(&self) -> String {
        let heading = format!("{}-heading", self.id);
        let section = html! {
            @if self.heading.is_empty() {
                div #(self.id) { (self.body) }
            } @else {
                section #(self.id) aria-labelledby=(heading) {
                    h2 #(heading) { (self.heading) }
                    (self.body)
                }
            }
        };
        section.into_string()
    }
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its title.
    pub title: String,
    /// Which it is; nothing of a page that says that there is none.
    pub place: Option<Place>,
    /// Its sections.
    pub sections: Vec<Section>,
}

impl Page {
    /// A page whose first section is its heading, with what stands below it.
    pub(super) fn new(place: Place, title: impl Into<String>, below: &Markup) -> Self {
        let title = title.into();
        let body = html! { h1 { (title) } (below) };
        let top = Section::new("top", "", body);
        Self { title, place: Some(place), sections: vec![top] }
    }

    pub(super) fn with(mut self, section: Section) -> Self {
        self.sections.push(section);
        self
    }

    /// The document. `pool`: the pool's name.
    pub fn document(&self, pool: &str) -> String {
        let at = self.place.map(|place| place.to_string());
        let title = if self.title == pool { pool.to_owned() } else { format!("{} - {pool}", self.title) };
        let document = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (title) }
                    link rel="stylesheet" href="/pages/style.css";
                    link rel="icon" type="image/svg+xml" href="/pages/icon.svg";
                    @if at.is_some() { script src="/pages/live.js" defer {} }
                }
                body data-page=[at.as_deref()] {
                    a.skip href="#main" { "To the content" }
                    (self.header(pool))
                    main #main tabindex="-1" {
                        @for section in &self.sections { (maud::PreEscaped(section.html())) }
                    }
                    (footer(at.is_some()))
                }
            }
        };
        document.into_string()
    }

    fn header(&self, pool: &str) -> Markup {
        let lists = [
            (Place::Overview, "Pool"),
            (Place::Clusters, "Clusters"),
            (Place::Operators, "Operators"),
            (Place::Reports, "Reports"),
            (Place::Incidents, "Incidents"),
        ];
        html! {
            header {
                a.pool href="/" { (pool) }
                nav aria-label="Pages" {
                    ul {
                        @for (place, name) in lists {
                            li {
                                @let here = (self.place == Some(place)).then_some("page");
                                a href=(place) aria-current=[here] { (name) }
                            }
                        }
                    }
                }
                form action="/find" method="get" role="search" {
                    label for="what" { "Address, cluster or report" }
                    input #what name="what" type="search" autocomplete="off" spellcheck="false" maxlength="80"
                        placeholder="0x…" required;
                    button type="submit" { "Find" }
                }
            }
        }
    }

    /// Sections that are others than those that were sent last, by id; what is sent is remembered. `None` if none is.
    pub fn changed(
        &self,
        sent: &mut BTreeMap<&'static str, String>,
    ) -> Option<BTreeMap<&'static str, String>> {
        let mut changed = BTreeMap::new();
        for section in &self.sections {
            let html = section.html();
            if sent.get(section.id) != Some(&html) {
                sent.insert(section.id, html.clone());
                changed.insert(section.id, html);
            }
        }
        (!changed.is_empty()).then_some(changed)
    }
}

fn footer(is_live: bool) -> Markup {
    html! {
        footer {
            @if is_live {
                p #live role="status" { "Reload the page to see what is new." }
            }
            p {
                "Everything here follows from the pool's "
                a href="/v1/log" { "log" }
                ", which anybody can replay (" code { "dvt-coordinator log verify" } "); what does not, says so. Read "
                a href="/v1/state" { "the state" } ", "
                a href="/v1/pool" { "charter and policy" } ", "
                a href="/v1/head" { "the head" } "."
            }
        }
    }
}

fn plain(title: &str, why: &str) -> Page {
    let body = html! {
        h1 { (title) }
        p { (why) }
        p { a href="/" { "To the pool" } }
    };
    Page { title: title.to_owned(), place: None, sections: vec![Section::new("top", "", body)] }
}

/// The page of a path where nothing is. `why`: in words.
pub fn missing(why: &str) -> Page {
    plain("Nothing is here", why)
}

/// The page when there can be no other. `why`: in words.
pub fn failed(why: &str) -> Page {
    plain("This cannot be shown now", why)
}
