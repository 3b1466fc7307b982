//! A bearer token in front of the validator API (RFC 6750): who does not know it is told nothing but that.

use super::errors::ApiError;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use keys::secret_file::{self, ReadError};
use secrecy::{ExposeSecret as _, SecretString};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use thiserror::Error;

/// Why there is no token.
#[derive(Debug, Error)]
pub enum TokenError {
    /// The file could not be read, or is open to others than its owner.
    #[error(transparent)]
    File(#[from] ReadError),
    /// A header cannot carry it.
    #[error("{path} holds no bearer token: letters, digits and -._~+/= only, on one line")]
    NotAToken {
        /// Which file.
        path: PathBuf,
    },
}

/// What a client has to show.
///
/// # Security
///
/// Printed as `<redacted>`, wiped when dropped, compared in a time that tells its length at most.
#[derive(Clone)]
pub struct Token(SecretString);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<redacted>")
    }
}

impl Token {
    /// Reads the token of a file that only its owner may read.
    ///
    /// - Errors: [`TokenError`].
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let text = secret_file::read_password(path)?;
        let proper = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
        if text.expose_secret().bytes().all(proper) {
            Ok(Self(text))
        } else {
            Err(TokenError::NotAToken { path: path.to_owned() })
        }
    }

    fn is_shown_in(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        let Some((scheme, shown)) = shown.split_at_checked(b"Bearer ".len()) else { return false };
        scheme.eq_ignore_ascii_case(b"Bearer ") && shown.ct_eq(self.0.expose_secret().as_bytes()).into()
    }
}

/// Puts a token in front of all routes.
pub fn guarded(routes: Router, token: Token) -> Router {
    routes.layer(from_fn_with_state(Arc::new(token), show))
}

async fn show(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    if token.is_shown_in(request.headers()) {
        return next.run(request).await;
    }
    let message = "this node wants the bearer token of its --validator-api-token-file";
    let mut response = ApiError::new(StatusCode::UNAUTHORIZED, message).into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
