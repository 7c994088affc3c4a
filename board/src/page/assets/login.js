// Trades the token for the cookie that opens the page.

const refused = document.getElementById("refused");

document.getElementById("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  refused.hidden = true;
  try {
    const answer = await fetch("/api/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: document.getElementById("token").value }),
    });
    if (answer.ok) {
      location.replace("/");
      return;
    }
    refused.textContent = answer.status === 401 ? "That is not the token." : await answer.text();
  } catch {
    refused.textContent = "The board does not answer.";
  }
  refused.hidden = false;
});
